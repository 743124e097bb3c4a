"""Group `evaluation`: base against each adapter, on instructions of seeds that no adapter was trained on."""
