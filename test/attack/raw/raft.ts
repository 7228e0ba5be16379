/** Messages of the voters of a group as an attacker forges them, by the format in protocols/consensus/raft/raft.proto. Pure. */
import { bytesField, joined, numberField } from './bytes.ts'

const TYPES = ['vote', 'voted', 'append', 'appended', 'snapshot', 'timeout-now', 'read', 'read-at'] as const
const KINDS = ['empty', 'command', 'configuration'] as const
/** Bits of `flags`. */
export const FLAG = { pre: 1, transfer: 2, granted: 4 }

export interface ForgedEntry {
  readonly index: number
  readonly term: number
  readonly kind: (typeof KINDS)[number]
  readonly data?: Uint8Array | string
}

export interface Forged {
  readonly group: string
  /** Member ids: a peer id, a dot, a storage id in hexadecimal. */
  readonly from: string
  readonly to: string
  readonly type: (typeof TYPES)[number]
  readonly term: number
  readonly index?: number
  readonly indexTerm?: number
  readonly commit?: number
  readonly entries?: readonly ForgedEntry[]
  readonly flags?: number
  readonly configuration?: string
}

const entryBytes = ({ index, term, kind, data = '' }: ForgedEntry): Uint8Array =>
  joined(numberField(1, index), numberField(2, term), numberField(3, KINDS.indexOf(kind)), bytesField(4, data))

export const stepBytes = (step: Forged): Uint8Array =>
  joined(
    bytesField(1, step.group),
    bytesField(2, step.from),
    bytesField(3, step.to),
    numberField(4, TYPES.indexOf(step.type)),
    numberField(5, step.term),
    numberField(6, step.index ?? 0),
    numberField(7, step.indexTerm ?? 0),
    numberField(8, step.commit ?? 0),
    ...(step.entries ?? []).map((entry) => bytesField(10, entryBytes(entry))),
    numberField(13, step.flags ?? 0),
    bytesField(15, step.configuration ?? ''),
  )

/** The data of an entry that makes these the only voters. */
export const configurationText = (...voters: readonly string[]): string => JSON.stringify({ voters, learners: [] })

/** The data of an entry that writes a record, as if a client without a session had asked. */
export const putText = (key: string, value: string, by: string): string =>
  JSON.stringify({
    kind: 'record.put',
    session: 0,
    serial: 0,
    acked: 0,
    at: Date.now(),
    by,
    input: { key, value },
  })
