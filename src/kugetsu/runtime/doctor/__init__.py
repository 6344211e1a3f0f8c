"""What `kugetsu doctor` looks at: one module for each subject, each giving findings with their evidence and remedy."""
