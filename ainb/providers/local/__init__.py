"""Adapter for GGUF models on this machine, served by llama.cpp."""
