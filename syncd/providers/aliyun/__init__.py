"""Alibaba Cloud: ECS and STS through the official SDK's requests and signatures."""
