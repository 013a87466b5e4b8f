module batchpools.dev/runner

go 1.26
