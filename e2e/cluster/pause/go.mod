module batchpools.dev/pause

go 1.26
