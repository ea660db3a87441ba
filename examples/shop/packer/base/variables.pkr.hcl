# Ingot gives every variable here its value (as PKR_VAR_…). The README shows how to give them by hand.

variable "ingot_role" {
  type        = string
  description = "Name of the role, stamped into the image."
  default     = "base"
}

variable "ingot_version" {
  type        = string
  description = "Version string of the image, stamped into it."
  default     = "0.0.0-dev"
}

variable "ingot_commit" {
  type        = string
  description = "Git commit that the image is built from, stamped into it."
  default     = "unknown"
}

variable "ingot_run" {
  type        = string
  description = "Id of the run that builds the image, stamped into it."
  default     = "by-hand"
}

variable "ingot_upstream" {
  type        = string
  description = "Path of the disk that the build starts from, already verified."
}

variable "ingot_upstream_checksum" {
  type        = string
  description = "sha256:<hex> of that disk, for Packer to look at it once more; none if it need not."
  default     = "none"
}

variable "ingot_ssh_public_key" {
  type        = string
  description = "Key that may log in as root while the image is built. It is never written to the disk."
}

variable "ingot_ssh_private_key_file" {
  type        = string
  description = "The private half of that key."
}

variable "ingot_output" {
  type        = string
  description = "Directory for the disk. Packer makes it; it must not exist."
  default     = "output/base"
}

variable "ingot_console" {
  type        = string
  description = "File for what the machine says on its serial console; worth reading when SSH does not answer."
  default     = "/dev/null"
}

variable "ingot_accelerator" {
  type        = string
  description = "kvm, or tcg where there is no hardware virtualisation."
  default     = "kvm"
}
