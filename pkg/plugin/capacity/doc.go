// Package capacity is the scheduler's ledger of bytes: what the agents report as free, less what is promised and not
// yet in a report.
//
// Its nouns:
//   - A report is one node's NodeStorage: volume groups with their free bytes, and the device classes they serve.
//   - A promise is what is known of one volume on one node, whoever told it: the LogicalVolume object, the claim with
//     selected-node, a Reserve of this process. A volume counts once, however many of them speak of it.
//   - A promise holds bytes until the report includes its volume. Nothing is "released": the volume shows up in the
//     report's used bytes, and the promise stops counting in the same moment.
//   - A bar keeps a claim off a node that refused its volume until a report taken later.
//   - A waiter is a pod in scheduling with claims of ours. Freed space wakes those it suffices for.
//
// One process has one ledger for all its profiles, and the ledger has one lock: two profiles cannot promise the same
// bytes. Nothing here reads from or writes to the API; handlers.go feeds the ledger from informers.
//
// What it does not know: bytes that something outside the API takes (a manual lvcreate) before the next report, and
// promises of another scheduler that are not in the API yet. The agent refuses what does not fit.
package capacity
