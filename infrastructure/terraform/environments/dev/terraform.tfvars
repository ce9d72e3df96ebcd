# Values of this environment, for whoever plans or applies it: on a laptop, for a pull request, on delivery. No secrets.
# What is removed here is removed from the account by the next apply. Give each variable (variables.tf), null or empty if unused.

account_id          = "000000000000" # yours: applying to another account is refused
region              = "eu-central-1"
zones               = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
admin_role_arns     = {} # such as { ops = "arn:aws:iam::000000000000:role/ops" }; without one nobody reaches the cluster
public_access_cidrs = [] # who reaches the cluster's API from outside; empty for nobody

# { provider_arn = output github_provider_arn of bootstrap, repository = "OWNER/NAME", environment = "dev" }
delivery             = null
alarm_mail_addresses = []
consumers            = []
endpoint             = null
auto_mode            = null # true for an autoscaler (Karpenter), volumes of EBS and load balancers; false once it was true
