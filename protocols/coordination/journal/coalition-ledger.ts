/**
 * Coalitions as one change of the journal sees and changes them, and what each owner answers for. A change that is refused has
 * written nothing: it checks first. State: whether anything was written.
 */
import { ParleyError, stateError } from '../../errors.ts'
import { requireCoordinator } from '../../journal/fencing/require-coordinator.ts'
import { OwnerShares } from '../../journal/owner-shares.ts'
import type { EntryFacts, JournalTx, Json } from '../../journal/state/command-kind.ts'
import {
  type CoalitionRecord,
  coalitionKey,
  coalitionUsageKey,
  type ProposedCoalition,
  readCoalition,
} from '../coalition/coalition-record.ts'

/** Of all owners, with those that are dissolved and are kept to be read. */
export const MAX_COALITIONS = 1_024
export const MAX_COALITION_BYTES = 3 * 1024 * 1024
/** Of UTF-8 for one character of JSON, at most. */
const BYTES_OF_CHARACTER = 3
/** What a record keeps beside its text, its reason among it; and for each member, whose id stands in it twice. */
const BYTES_OF_COALITION = 2_048
const BYTES_OF_MEMBER = 32

const textBytes = (text: string): number => BYTES_OF_CHARACTER * JSON.stringify(text).length

export const sizeOfCoalition = ({ goal, members }: Pick<ProposedCoalition, 'goal' | 'members'>): number =>
  textBytes(goal) + BYTES_OF_COALITION + members.reduce((sum, peer) => sum + 2 * textBytes(peer) + BYTES_OF_MEMBER, 0)

export class CoalitionLedger {
  readonly tx: JournalTx
  readonly facts: EntryFacts
  readonly #shares: OwnerShares
  hasWritten = false

  constructor(tx: JournalTx, facts: EntryFacts) {
    this.tx = tx
    this.facts = facts
    const limits = { counted: 'coalitions', most: MAX_COALITIONS, mostBytes: MAX_COALITION_BYTES }
    this.#shares = new OwnerShares(tx, { ...limits, keyOf: coalitionUsageKey })
  }

  find(id: string): CoalitionRecord | undefined {
    return readCoalition(this.tx.get(coalitionKey(id)))
  }

  /** @throws STA001; STA003 `ended` for one that is dissolved */
  open(id: string): CoalitionRecord {
    const found = this.find(id)
    if (found === undefined)
      throw new ParleyError('STA001', `there is no coalition ${id}`, {
        hint: 'it was never proposed, or was dissolved a while ago',
        details: { coalition: id },
      })
    if (found.state !== 'dissolved') return found
    throw stateError('ended', `the coalition ${id} is dissolved`, 'propose another one', { coalition: id })
  }

  /** @throws SEC002, STA002 */
  requireCoordinator(epoch: number): void {
    requireCoordinator(this.tx, this.facts, epoch, 'forms and leads coalitions')
  }

  put(id: string, record: CoalitionRecord): void {
    this.hasWritten = true
    this.tx.put(coalitionKey(id), record as unknown as Json)
  }

  /** @throws COM003 `coalition-share` where its owner may have no more */
  add(id: string, record: CoalitionRecord): void {
    const { owner, size } = record
    if (!this.#shares.hasRoom(owner, size))
      throw new ParleyError(
        'COM003',
        `${owner} has ${this.#shares.of(owner).count} coalitions, of ${this.#shares.all().count}`,
        {
          hint: 'dissolve some of them, and try again once they are forgotten: in a minute or more',
          details: { reason: 'coalition-share', retryAfterMs: 10_000 },
        },
      )
    this.put(id, record)
    this.#shares.add(owner, 1, size)
  }

  /** One that is dissolved: until then its owner answers for it, so that what is kept to be read is bounded too. */
  forget(id: string, { owner, size }: CoalitionRecord): void {
    this.hasWritten = true
    this.tx.delete(coalitionKey(id))
    this.#shares.add(owner, -1, -size)
  }
}
