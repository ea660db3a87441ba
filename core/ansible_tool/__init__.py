"""The program that builds an image with Ansible: `python -m core.ansible_tool PLAN`, under a holder, as Packer is.

It boots the machine, runs the playbook, asks on its terminal what to do when a task fails, and shuts the machine down.
The machine is its child and, when it lets go of it, the holder's.
"""
