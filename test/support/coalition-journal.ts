/** A journal with coalitions, as one member has it: changes in, answers out. */

import {
  COALITION_PREFIX,
  COALITIONS_PART,
  type CoalitionRecord,
  coalitionKey,
  coalitionUsageKey,
  readCoalition,
} from '../../protocols/coordination/coalition/coalition-record.ts'
import type { CoalitionChange } from '../../protocols/coordination/journal/coalition-changes.ts'
import { coalitionJournal, decideCoalitions } from '../../protocols/coordination/journal/coalition-kinds.ts'
import type { ChangeAnswer } from '../../protocols/journal/change-answers.ts'
import { agreePart, knownKinds } from '../../protocols/journal/part-kinds.ts'
import { beginEpoch, raiseLevel } from '../../protocols/journal/state/built-in-kinds.ts'
import { encodeLoggedCommand, type Json } from '../../protocols/journal/state/command-kind.ts'
import { createJournalMachine } from '../../protocols/journal/state/journal-machine.ts'

export const LEADER = 'leader'
/** A feature level of the mesh that has parts. */
const MESH_LEVEL = 4

export class CoalitionJournal {
  readonly bugs: unknown[] = []
  readonly #machine = createJournalMachine(
    knownKinds([], [{ ...coalitionJournal, name: COALITIONS_PART }]),
    (_kind, error) => this.bugs.push(error),
  )
  epoch = 1
  index = 0
  /** Milliseconds since 1970, by the journal. */
  at = 1_000

  constructor() {
    const { level, maxBytes } = coalitionJournal
    this.#apply(raiseLevel.name, LEADER, { level: MESH_LEVEL })
    this.#apply(agreePart.name, LEADER, { part: COALITIONS_PART, level, maxBytes })
    this.begin(LEADER)
  }

  /** Another epoch, of this leader. */
  begin(leader: string, epoch = this.epoch): void {
    this.epoch = epoch
    this.#apply(beginEpoch.name, leader, { leader, name: leader })
  }

  /** One change. @returns what it was answered with, or the code of its refusal, with its reason */
  one(by: string, change: CoalitionChange): unknown {
    const answer = this.#apply(decideCoalitions.name, by, { changes: [change] } as unknown as Json)
    if (!answer.ok) throw new Error(JSON.stringify(answer.fault))
    const [first] = answer.result as unknown as ChangeAnswer[]
    if (first === undefined || 'ok' in first) return first?.ok
    const { reason } = first.fault.details ?? {}
    return typeof reason === 'string' ? `${first.fault.code} ${reason}` : first.fault.code
  }

  propose(
    by: string,
    id: string,
    members: readonly string[],
    more: { minMembers?: number; goal?: string } = {},
  ): unknown {
    const { minMembers = members.length, goal = 'map the harbour' } = more
    const coalition = { goal, leader: members[0] ?? by, members: [...members], minMembers, ttlMs: 60_000 }
    return this.one(by, { do: 'propose', id, coalition })
  }

  /** As the coordinator. */
  join(id: string, peers: readonly string[]): unknown {
    return this.one(LEADER, { do: 'join', epoch: this.epoch, id, peers: [...peers] })
  }

  /** As the coordinator, as of what there is. */
  form(id: string): unknown {
    return this.one(LEADER, { do: 'form', epoch: this.epoch, id, as: this.get(id)?.fence.index ?? 0 })
  }

  get(id: string): CoalitionRecord | undefined {
    return readCoalition(this.#machine.records.get(coalitionKey(id))?.value)
  }

  /** How many its usage row says that this peer has. */
  usage(peer: string): number {
    const found = this.#machine.records.get(coalitionUsageKey(peer))?.value as { coalitions?: number } | undefined
    return found?.coalitions ?? 0
  }

  /** Bytes of all records, as they stand in the journal, and what their owners answer for. */
  bytes(): { written: number; counted: number } {
    const all = this.#machine.records.all().filter(({ key }) => key.startsWith(COALITION_PREFIX))
    const encoder = new TextEncoder()
    const written = all.reduce((sum, { key, value }) => sum + encoder.encode(key + JSON.stringify(value)).length, 0)
    return { written, counted: all.reduce((sum, { value }) => sum + (readCoalition(value)?.size ?? 0), 0) }
  }

  #apply(kind: string, by: string, input: Json) {
    this.index += 1
    const bytes = encodeLoggedCommand({ kind, session: 0, serial: 0, acked: 0, at: this.at, by, input })
    return this.#machine.apply(bytes, { term: this.epoch, index: this.index })
  }
}
