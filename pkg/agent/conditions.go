package agent

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// setCondition sets one condition in a list; the transition time moves only when the status does. It returns whether
// the status did.
func setCondition(list *[]metav1.Condition, condition metav1.Condition) bool {
	old := meta.FindStatusCondition(*list, condition.Type)
	turned := old == nil || old.Status != condition.Status
	meta.SetStatusCondition(list, condition)
	return turned
}
