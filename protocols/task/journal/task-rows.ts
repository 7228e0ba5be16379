/** Rows of open tasks, as one command sees and changes them. State: the collections that it opened, with what they took. */
import type { CollectionTx, JournalTx } from '../../journal/state/command-kind.ts'
import { signalsOf, workOf } from '../task-record.ts'

interface Opened {
  readonly rows: CollectionTx
  /** Bytes, when `grown` looked last. */
  seen: number
}

export class TaskRows {
  readonly #tx: JournalTx
  /** By task: its name is made once. */
  readonly #work = new Map<string, Opened>()
  readonly #signals = new Map<string, Opened>()

  constructor(tx: JournalTx) {
    this.#tx = tx
  }

  /** Input, checkpoint, effects, history. */
  work(id: string): CollectionTx {
    return this.#of(this.#work, id, workOf)
  }

  /** What it was given. */
  signals(id: string): CollectionTx {
    return this.#of(this.#signals, id, signalsOf)
  }

  #of(opened: Map<string, Opened>, id: string, nameOf: (id: string) => string): CollectionTx {
    const known = opened.get(id)
    if (known !== undefined) return known.rows
    const rows = this.#tx.collection(nameOf(id))
    opened.set(id, { rows, seen: rows.bytes() })
    return rows
  }

  /** Bytes that its rows take more since this was asked last, or since the command began. */
  grown(id: string): number {
    let grown = 0
    for (const opened of [this.#work.get(id), this.#signals.get(id)]) {
      if (opened === undefined) continue
      const bytes = opened.rows.bytes()
      grown += bytes - opened.seen
      opened.seen = bytes
    }
    return grown
  }
}
