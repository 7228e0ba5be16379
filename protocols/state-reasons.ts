/**
 * What STA003 can mean, by `details.reason`: a change that met another one, nobody who decides now, a disk that does not
 * serve, another mesh, or a node that is not in the state for it. Severity and recovery follow the reason, not the code.
 */
export type Severity = 'info' | 'warning' | 'error' | 'critical'

export type Recovery =
  | 'retry_with_validation'
  | 'retry_with_new_serializer'
  | 'retry_with_backoff'
  | 'failover_to_backup'
  | 'replan'
  | 'none'

export interface SeverityAndRecovery {
  readonly severity: Severity
  readonly recovery: Recovery
}

/** What was decided on is not any more: read it again, and decide again. */
const CHANGED: SeverityAndRecovery = { severity: 'warning', recovery: 'replan' }
/** It is over in a while, or elsewhere: the same again. */
const PASSING: SeverityAndRecovery = { severity: 'warning', recovery: 'retry_with_backoff' }
/** A person has to look at the disk. */
const DISK: SeverityAndRecovery = { severity: 'critical', recovery: 'none' }
/** It stays so until the program or its settings change. */
const WRONG_STATE: SeverityAndRecovery = { severity: 'error', recovery: 'none' }

export const STATE_REASONS = {
  /** The record has another version than `ifVersion` says. */
  version: CHANGED,
  /** Another command took its place in the log; it had no effect. */
  superseded: CHANGED,
  /** The journal does not know the session any more; whether the command had an effect is seen by reading. */
  'session-expired': CHANGED,
  /** Transactions changed the same keys again and again. */
  contended: CHANGED,
  /** A seat that was being given up was taken back meanwhile. */
  'taken-back': CHANGED,
  /** The task is in another state by now. */
  'task-status': CHANGED,
  /** The task is open or completed: only one that ended otherwise is submitted again. */
  'not-failed': WRONG_STATE,
  /** What the task was submitted with was not kept. */
  'input-gone': WRONG_STATE,
  /** The allocation is in another state by now. */
  'allocation-status': CHANGED,
  /** The plan is in another state by now. */
  'plan-status': CHANGED,
  /** The coalition is in another state by now. */
  'coalition-status': CHANGED,
  /** Nodes have less to give than the allocation takes, by now. */
  'does-not-fit': CHANGED,
  /** The worker that was chosen is gone. */
  'worker-gone': CHANGED,
  /** This serial was answered and acknowledged before. */
  'serial-done': CHANGED,
  /** Events of the topic that a task waits for are gone for good: the one it waits for may have been among them. */
  missed: { severity: 'error', recovery: 'none' },
  /** Too many commands of a session are not acknowledged. */
  'session-full': PASSING,

  /** Nobody coordinates now, as far as this node knows. */
  'no-leader': PASSING,
  /** This node does not coordinate; `details.leader` names who does, where that is known. */
  'not-leader': PASSING,
  /** This node has no seat, and so no journal to answer from. */
  'no-member': PASSING,
  /** Snapshots are for members of the coordinator group. */
  'not-seated': PASSING,
  /** The mesh has no coordinator group yet. */
  'not-founded': PASSING,
  /** The node stopped before it was decided: it may have an effect yet. */
  unknown: PASSING,
  /** Nobody took the coordination over in time. */
  'not-handed-over': PASSING,
  /** This member has not applied as much. */
  'not-applied': PASSING,
  /** Not every voter knows it yet: a later version brings it. */
  level: PASSING,
  /** The holders of the bytes of a task are there: none of them is replaced. */
  'holder-there': CHANGED,
  /** No node of the mesh keeps the bytes of a task. */
  'no-holder': PASSING,
  /** A part of the node did not start, or what it needs did not; it is tried again after a while. */
  'part-failed': PASSING,

  /** No room; the node goes on by itself once there is some. */
  'disk-full': { severity: 'critical', recovery: 'retry_with_backoff' },
  /** A read or write failed. */
  'disk-failed': DISK,
  /** What is on the disk is not known any more; it has to be opened again. */
  broken: DISK,
  /** What is stored does not fit its checksums. */
  damaged: DISK,
  /** Written by a newer version. */
  newer: DISK,
  /** Another process has the store open. */
  locked: WRONG_STATE,
  /** A founding could not be kept. */
  unsaved: DISK,

  /** A mesh that was founded apart. */
  'other-mesh': WRONG_STATE,
  /** Another coordinator group. */
  'other-group': WRONG_STATE,
  /** What is recovered needs the id of its mesh. */
  'no-mesh-id': WRONG_STATE,
  'needs-mesh-id': WRONG_STATE,
  /** The store is of that mesh already. */
  same: WRONG_STATE,
  /** There is nothing of a mesh in the store. */
  nothing: WRONG_STATE,
  /** The store is whole, or the node can decide: there is nothing to recover. */
  whole: WRONG_STATE,
  'not-needed': WRONG_STATE,

  /** This node or feature is stopping or stopped. */
  closed: WRONG_STATE,
  /** The only voter: nobody else can take its place. */
  alone: WRONG_STATE,
  /** The node that was named does not vote. */
  'no-voter': WRONG_STATE,
  /** It needs a data directory. */
  volatile: WRONG_STATE,
  /** Several agents have the name. */
  ambiguous: WRONG_STATE,
  /** The journal has a command that this node does not know: it leaves its seat. */
  'unknown-kind': WRONG_STATE,
  /** Somebody has it: a name, a protocol, a folder, a port, a file. */
  'in-use': WRONG_STATE,
  /** The file is there already, and is left as it is. */
  exists: WRONG_STATE,
  /** The transaction, or the task, has ended. */
  ended: WRONG_STATE,
  /** A task that this one depends on did not end as it must. */
  dependency: WRONG_STATE,
  /** The coalition was dissolved before enough of its members had joined. */
  'not-formed': WRONG_STATE,
  /** A note of a failed call, which cannot be sent as a message. */
  call: WRONG_STATE,
  /** A request came back to a peer that was asked for the same on its behalf; `details.chain` shows its way. */
  'delegation-cycle': WRONG_STATE,
  /** A request was passed on more often than a chain has hops; `details.chain` shows its way. */
  'delegation-depth': WRONG_STATE,
  /** The request waited for a slot that only ends when it does: it never ran, and gave way. */
  deadlock: PASSING,
  /** It is not there, or not what it should be. */
  missing: WRONG_STATE,
} as const satisfies Record<string, SeverityAndRecovery>

export type StateReason = keyof typeof STATE_REASONS

/** Of an error STA003; one without a known reason is of a newer peer. */
export const severityAndRecoveryOf = (reason: unknown): SeverityAndRecovery =>
  typeof reason === 'string' && Object.hasOwn(STATE_REASONS, reason) ? STATE_REASONS[reason as StateReason] : CHANGED
