# The bucket is bootstrap's: terraform init -backend-config=bucket=BUCKET -backend-config=region=REGION
terraform {
  backend "s3" {
    key          = "fraud/dev.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}
