"""Tencent Cloud: CVM, region and STS through the official SDK's requests and signatures."""
