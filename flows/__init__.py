"""The command line, the ledger, the store and the executors; the only place that knows an orchestrator."""
