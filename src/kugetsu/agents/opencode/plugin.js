// Tells kugetsu what `opencode run` keeps to itself: that the model is being retried (and until when), which tool runs,
// when the model is asked, that its answer is arriving, how many tokens were used so far. One line each on stderr:
// `kugetsu-agent {json}`. It changes nothing, but for the configuration files that opencode has just rewritten.
import { readFileSync, writeFileSync, writeSync } from "node:fs";

const tell = (fields) => {
  try {
    writeSync(2, "kugetsu-agent " + JSON.stringify({ ...fields, at: Date.now() }) + "\n");
  } catch {
    // A full disk must not stop the agent: what is missing is a line of progress.
  }
};

const ANSWERING_EVERY = 15000; // ms between two signs that an answer is arriving

// Puts back the configuration of the project, to which opencode adds a schema (see `opencode_files.py`): before the agent
// works, so that it commits no change that nobody made.
const putBack = (directory) => {
  try {
    const before = JSON.parse(readFileSync(process.env.KUGETSU_BEFORE, "utf8")).files ?? {};
    for (const [name, text] of Object.entries(before)) {
      const path = directory + "/" + name;
      const written = text.replace(/^\s*\{/, () => '{\n  "$schema": "https://opencode.ai/config.json",');
      if (readFileSync(path, "utf8") === written) writeFileSync(path, text);
    }
  } catch {
    // kugetsu tries again after the run.
  }
};

const title = (input, directory) => {
  const text = String(input?.filePath ?? input?.command ?? input?.pattern ?? input?.url ?? input?.description ?? "");
  return (text.startsWith(directory + "/") ? text.slice(directory.length + 1) : text).slice(0, 200);
};

export const Kugetsu = async ({ directory }) => {
  const told = new Set();
  const retrying = new Set();
  const counted = new Set();
  const tokens = { total: 0, input: 0, output: 0, reasoning: 0, cache: { read: 0, write: 0 } };
  let answering = 0;
  let cost = 0;

  // Of all sessions of this process, those of sub-agents too.
  const count = (used) => {
    for (const name of ["total", "input", "output", "reasoning"]) tokens[name] += used?.[name] ?? 0;
    for (const name of ["read", "write"]) tokens.cache[name] += used?.cache?.[name] ?? 0;
  };

  const status = (session, now) => {
    if (now?.type === "retry") {
      retrying.add(session);
      tell({ type: "retry", session, attempt: now.attempt, message: String(now.message).slice(0, 1000), next: now.next });
    } else if (retrying.delete(session)) {
      tell({ type: "resumed", session });
    }
  };

  const part = (session, it) => {
    if (it?.type === "tool") {
      const state = it.state?.status;
      if (state === "running" && !told.has(it.id)) {
        told.add(it.id);
        tell({ type: "tool", session, id: it.id, tool: it.tool, title: title(it.state.input, directory) });
      } else if ((state === "completed" || state === "error") && told.delete(it.id)) {
        tell({ type: "tool-end", session, id: it.id });
      }
    } else if (it?.type === "step-finish" && !counted.has(it.id)) {
      counted.add(it.id);
      count(it.tokens);
      cost += it.cost ?? 0;
      tell({ type: "usage", session, total: tokens.total, cost, tokens, reason: it.reason });
    }
  };

  const delta = (session) => {
    if (Date.now() - answering >= ANSWERING_EVERY) {
      answering = Date.now();
      tell({ type: "answering", session });
    }
  };

  putBack(directory);
  tell({ type: "hello", directory });
  return {
    // A call takes at most what the model's context holds: that bounds what a call that is cut off may have used.
    "chat.params": async (about) =>
      tell({ type: "asked", session: about?.sessionID, most: about?.model?.limit?.context || undefined }),
    event: async ({ event }) => {
      const about = event.properties ?? {};
      if (event.type === "session.status") status(about.sessionID, about.status);
      else if (event.type === "message.part.updated") part(about.sessionID ?? about.part?.sessionID, about.part);
      else if (event.type === "message.part.delta") delta(about.sessionID);
      else if (event.type === "permission.asked")
        tell({ type: "permission", session: about.sessionID, permission: about.permission, patterns: about.patterns });
    },
  };
};
