"""What keeps code inside, as the host holds it: zygotes, boxes behind namespaces, boxes without."""
