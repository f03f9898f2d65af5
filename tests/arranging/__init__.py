"""What tests are arranged with: rows, servers, clients, documents."""
