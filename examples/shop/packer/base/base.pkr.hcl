# The hardened base of every other role: Debian, closed down, kept up to date.

source "qemu" "base" {
  disk_image       = true
  iso_url          = var.ingot_upstream
  iso_checksum     = var.ingot_upstream_checksum
  skip_resize_disk = true

  output_directory = var.ingot_output
  vm_name          = "${var.ingot_role}.qcow2"
  format           = "qcow2"
  disk_interface   = "virtio"
  disk_discard     = "unmap" # what the build deletes takes no room in the image
  net_device       = "virtio-net"

  accelerator = var.ingot_accelerator
  cpus        = 2
  memory      = 1024
  headless    = true
  boot_wait   = var.ingot_accelerator == "tcg" ? "9s" : "2s" # nothing can answer before
  qemuargs = [
    ["-cpu", "max"],
    ["-serial", "file:${var.ingot_console}"],
    # systemd takes the key from the machine's firmware at boot, so no disk ever holds it (systemd.exec(5), SMBIOS credentials).
    ["-smbios", "type=11,value=io.systemd.credential.binary:ssh.authorized_keys.root=${base64encode(var.ingot_ssh_public_key)}"],
  ]

  ssh_username         = "root"
  ssh_private_key_file = var.ingot_ssh_private_key_file
  ssh_timeout          = "10m"
  shutdown_command     = "systemctl poweroff"
}

build {
  sources = ["source.qemu.base"]

  provisioner "ansible" {
    playbook_file = "${path.root}/../../ansible/base.yml"
    use_proxy     = false
    user          = "root"
    ansible_env_vars = [
      "ANSIBLE_CONFIG=${path.root}/../../ansible/ansible.cfg",
    ]
    extra_arguments = [
      "--extra-vars",
      jsonencode({
        image_role    = var.ingot_role
        image_version = var.ingot_version
        image_commit  = var.ingot_commit
        image_run     = var.ingot_run
      }),
    ]
  }

  provisioner "shell" {
    script = "${path.root}/../../scripts/clean.sh"
  }
}
