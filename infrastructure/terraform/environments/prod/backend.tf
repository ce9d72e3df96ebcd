# The bucket is bootstrap's: terraform init -backend-config=bucket=BUCKET -backend-config=region=REGION
terraform {
  backend "s3" {
    key          = "fraud/prod.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}
