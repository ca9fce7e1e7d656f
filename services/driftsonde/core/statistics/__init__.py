"""Pure statistics over count vectors and mergeable outcome forms."""
