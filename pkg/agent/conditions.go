package agent

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// setCondition sets one condition in a list; the transition time moves only when the status does. It returns whether
// the status did.
func setCondition(list *[]metav1.Condition, condition metav1.Condition) bool {
	old := meta.FindStatusCondition(*list, condition.Type)
	turned := old == nil || old.Status != condition.Status
	meta.SetStatusCondition(list, condition)
	return turned
}

// problem is why something is not as it should be; the zero value is no problem.
type problem struct{ reason, message string }

// condition is true without a problem, else false with its words.
func (p problem) condition(conditionType string) metav1.Condition {
	if p.reason == "" {
		return metav1.Condition{Type: conditionType, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady}
	}
	return metav1.Condition{Type: conditionType, Status: metav1.ConditionFalse, Reason: p.reason, Message: clip(p.message)}
}
