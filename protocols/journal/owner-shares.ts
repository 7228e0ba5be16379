/**
 * What each owner has of what a part keeps, and all together: nobody has more than three times of what is free, as shares of the
 * journal are cut. Pure, but for the transaction: a record for each owner that has something.
 */
import type { JournalTx, Json } from './state/command-kind.ts'

const TIMES_FREE = 3
const EVERYBODY = 'all'

export interface ShareLimits {
  keyOf(owner: string): string
  /** The field of the record that counts them: it stands in logs. */
  readonly counted: string
  /** Of all owners. */
  readonly most: number
  readonly mostBytes: number
}

export interface OwnedShare {
  readonly count: number
  readonly bytes: number
}

export class OwnerShares {
  readonly #tx: JournalTx
  readonly #limits: ShareLimits

  constructor(tx: JournalTx, limits: ShareLimits) {
    this.#tx = tx
    this.#limits = limits
  }

  of(owner: string): OwnedShare {
    const { keyOf, counted } = this.#limits
    const kept = this.#tx.get(keyOf(owner)) as Readonly<Record<string, number>> | undefined
    return { count: kept?.[counted] ?? 0, bytes: kept?.bytes ?? 0 }
  }

  all(): OwnedShare {
    return this.of(EVERYBODY)
  }

  /** For one more of so many bytes. */
  hasRoom(owner: string, bytes: number): boolean {
    const { most, mostBytes } = this.#limits
    const [all, own] = [this.all(), this.of(owner)]
    const isFree = all.count < most && all.bytes + bytes <= mostBytes
    const isFair =
      own.count + 1 <= TIMES_FREE * (most - all.count) && own.bytes + bytes <= TIMES_FREE * (mostBytes - all.bytes)
    return isFree && isFair
  }

  /** So many more, or fewer. */
  add(owner: string, count: number, bytes: number): void {
    const { keyOf, counted } = this.#limits
    for (const whose of [owner, EVERYBODY]) {
      const now = this.of(whose)
      const next: Json = { [counted]: now.count + count, bytes: now.bytes + bytes }
      if (now.count + count > 0) this.#tx.put(keyOf(whose), next)
      else this.#tx.delete(keyOf(whose))
    }
  }
}
