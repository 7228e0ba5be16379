/**
 * What `details.reason` of an error can be, by its code. Those of STA003 are in state-reasons.ts, since severity and recovery
 * follow them; a code that is not named here has none. An error of a peer of another version may have others.
 */
import { STATE_REASONS } from './state-reasons.ts'

export const ERROR_REASONS = {
  MSG001: {
    /** One attempt of a task used the same name and key for two effects. */
    'effect-name-reused': true,
  },
  MSG003: {
    /** More values, keys or levels than a payload may have. */
    'too-complex': true,
  },
  MSG004: {
    /** The coordinator's version has no such command of the journal. */
    'unknown-command': true,
  },
  COM001: {
    /** Nobody coordinated in time. */
    'no-leader': true,
    /** Whether it was decided is not known: read what it was to change, then decide again. */
    unknown: true,
    /** An attempt at a task took longer than it may. */
    'attempt-timeout': true,
  },
  COM002: {
    /** This node stops. */
    stopped: true,
    /** The node that was asked is stopping: another one may take it. */
    stopping: true,
    /** No agent has this name. */
    'unknown-name': true,
    /** The caller did not read its answers. */
    unread: true,
    /** An address that is not dialled: a network of `dial.deny` holds it. */
    denied: true,
    /** An address that is not dialled: link-local. */
    'link-local': true,
    /** An address that is not dialled: the metadata service of a cloud. */
    metadata: true,
    /** An address that is not dialled: the loopback of another machine. */
    loopback: true,
    /** An address that is not dialled: the unspecified one. */
    unspecified: true,
    /** An address that is not dialled: multicast. */
    multicast: true,
    /** An address that is not dialled: reserved. */
    reserved: true,
    /** An address that is not dialled: a name that a peer announced. */
    name: true,
    /** An address that is not dialled: of a form that this node does not dial. */
    form: true,
    /** An address that is not dialled: a relay that is reached through a relay. */
    nested: true,
    /** An address that is not dialled: it leads to another peer. */
    author: true,
    /** Too many dials of addresses that strangers announced. */
    budget: true,
    /** Too many dials of addresses that this peer announced. */
    announcer: true,
  },
  COM003: {
    /** Too many requests wait. */
    line: true,
    /** Too many streams wait for their reader. */
    streams: true,
    /** Requests in work hold too many bytes. */
    bytes: true,
    /** `limits.maxDiskBytes` is used up. */
    'disk-quota': true,
    /** Kept events are asked for too often. */
    history: true,
    /** The journal is full. */
    'journal-full': true,
    /** The peer, or the part, holds its share of the journal. */
    'journal-share': true,
    /** The submitter holds its share of the open tasks, or of their rows. */
    'task-share': true,
    /** The holder has its share of the allocations. */
    'resource-share': true,
    /** What the allocation asks for is in use, or nowhere: `details.why`. */
    'resource-denied': true,
    /** The budget, or the slice of one, has less left than is asked for: `details.amount`, `asked`, `left`. */
    'budget-exhausted': true,
    /** The budget may not be passed on any further, or stands too deep in its tree. */
    'budget-depth': true,
    /** The node has its share of the budgets and their draws. */
    'budget-share': true,
    /** The owner has its share of the plans. */
    'plan-share': true,
    /** The owner has its share of the coalitions. */
    'coalition-share': true,
    /** The task has as many effects as it may have. */
    effects: true,
    /** The disk of the coordinator has not caught up with what was decided. */
    'snapshot-behind': true,
  },
  SEC001: {
    /** No membership token was shown. */
    'no-token': true,
    /** A token was shown where the mesh has no secret. */
    'unexpected-token': true,
    /** More tokens than a node may show. */
    'too-many-tokens': true,
    /** The token cannot be read. */
    malformed: true,
    /** The token's signature is wrong. */
    signature: true,
    /** Of another mesh. */
    'wrong-mesh': true,
    /** Of another secret. */
    'wrong-authority': true,
    /** The token of another peer. */
    'other-peer': true,
    /** The token begins later. */
    'not-yet-valid': true,
    /** The token is over. */
    expired: true,
    /** The token claims more time than a token may. */
    'too-long': true,
    /** The secret was changed meanwhile. */
    'changed-secret': true,
    /** A mesh without a secret takes connections over loopback only. */
    'not-loopback': true,
    /** Meshes that were founded apart. */
    'founded-apart': true,
    /** The clocks of both nodes differ. */
    clocks: true,
    /** The clock of the node that refuses was set. */
    'own-clock': true,
    /** The connection was refused before. */
    settled: true,
    /** No membership was shown in time. */
    timeout: true,
    /** It is no Parley node. */
    'no-parley': true,
    /** What it gossips had to be refused; it is cut off for minutes. */
    'cut-off': true,
    /** The node would be open to others, and has no secret. */
    'no-secret': true,
    /** The node would be open to others, and its secret can be guessed. */
    'weak-secret': true,
    /** The secret's checksum is wrong. */
    'mistyped-secret': true,
  },
  SEC003: {
    /** The last hop of a delegation chain is not the peer that sent it. */
    'delegation-chain': true,
  },
  STA001: {
    /** No agent has this name. */
    'no-agent': true,
    /** None of those who hold a large value of a task can be reached. */
    'input-lost': true,
  },
  STA002: {
    /** Nobody proves the epoch of the decision. */
    unproven: true,
  },
  STA003: STATE_REASONS,
} as const

type ReasonTable = { readonly [C in keyof typeof ERROR_REASONS]: Extract<keyof (typeof ERROR_REASONS)[C], string> }

/** What `details.reason` can be: of errors of this code, or of any. */
export type ErrorReason<C extends string = string> = string extends C
  ? ReasonTable[keyof ReasonTable]
  : C extends keyof ReasonTable
    ? ReasonTable[C]
    : never

const TABLES: { readonly [code: string]: Readonly<Record<string, unknown>> } = ERROR_REASONS

/** @returns the reason if errors of the code have it in this version */
export const reasonOf = (code: string, reason: unknown): ErrorReason | undefined => {
  const table = Object.hasOwn(TABLES, code) ? TABLES[code] : undefined
  return table !== undefined && typeof reason === 'string' && Object.hasOwn(table, reason)
    ? (reason as ErrorReason)
    : undefined
}
