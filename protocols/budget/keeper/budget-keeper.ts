/**
 * What the coordinator does about budgets, for as long as it coordinates: it reads the journal's changes, looks at its board, and
 * has decided what that wants. Without budgets it waits for the first one, and looks at no clock. State: the board, of one epoch.
 */
import type { ChangeBatcher } from '../../journal/client/change-batcher.ts'
import { CoordinatorLoop } from '../../journal/feed/coordinator-loop.ts'
import { JournalView, type ReadChange } from '../../journal/feed/journal-view.ts'
import type { JournalMember } from '../../journal/journal-server.ts'
import type { Port } from '../../port.ts'
import { BUDGET_PREFIX, type BudgetRecord, HOLDER_PREFIX, type HolderRecord } from '../budget-record.ts'
import type { BudgetChange } from '../journal/budget-changes.ts'
import { BudgetBoard } from './budget-board.ts'

/** Milliseconds; where there are budgets it looks at the latest then. */
const LOOK_MS = 500

export interface BudgetKeeperDeps {
  readonly port: Pick<Port, 'clock' | 'timers' | 'log'>
  readonly batcher: Pick<ChangeBatcher<BudgetChange>, 'decide'>
  member(): JournalMember | undefined
}

export interface KeeperCounts {
  /** Nodes that hold budgets. */
  readonly holders: number
  readonly open: number
  /** Budgets that this node ended since it coordinates. */
  readonly expired: number
}

type SeenChange =
  | { readonly type: 'holder'; readonly peer: string; readonly record: HolderRecord | undefined }
  | { readonly type: 'budget'; readonly id: string; readonly record: BudgetRecord | undefined }

// This part wrote them.
const readChange: ReadChange<SeenChange> = (key, _version, value) => {
  if (key.startsWith(HOLDER_PREFIX))
    return { type: 'holder', peer: key.slice(HOLDER_PREFIX.length), record: value as HolderRecord | undefined }
  if (key.startsWith(BUDGET_PREFIX))
    return { type: 'budget', id: key.slice(BUDGET_PREFIX.length), record: value as BudgetRecord | undefined }
  return undefined
}

const changedAt = (change: SeenChange): number => (change.type === 'budget' ? (change.record?.changedAt ?? 0) : 0)

export class BudgetKeeper {
  readonly #deps: BudgetKeeperDeps
  readonly #epoch: number
  readonly #signal: AbortSignal
  #board: BudgetBoard
  #expired = 0
  readonly #loop: CoordinatorLoop

  constructor(deps: BudgetKeeperDeps, epoch: number, signal: AbortSignal) {
    this.#deps = deps
    this.#epoch = epoch
    this.#signal = signal
    this.#loop = new CoordinatorLoop({ port: deps.port, signal, of: 'budgets' })
    this.#board = new BudgetBoard(epoch)
  }

  counts(): KeeperCounts {
    return { ...this.#board.counts(), expired: this.#expired }
  }

  /** Resolves once this node coordinates no more. */
  async run(): Promise<void> {
    const member = this.#deps.member()
    if (member === undefined) return
    const { clock } = member
    const view = new JournalView(member, readChange)
    this.#load(view)
    const stop = member.machine.onApplied(this.#loop.wake)
    try {
      while (!this.#signal.aborted) {
        this.#read(view)
        const time = { now: clock.now(), monotonic: clock.monotonic() }
        for (const change of this.#board.wanted(time)) void this.#decide(change, view)
        await this.#loop.untilNews(this.#board.isIdle() ? undefined : LOOK_MS)
      }
    } finally {
      stop()
    }
  }

  #load(view: JournalView<SeenChange>): void {
    this.#board = new BudgetBoard(this.#epoch)
    for (const change of view.all().sort((a, b) => changedAt(a) - changedAt(b))) this.#set(change)
  }

  #read(view: JournalView<SeenChange>): void {
    const changes = view.changes()
    if (changes === undefined) this.#load(view)
    else for (const change of changes) this.#set(change)
  }

  #set(change: SeenChange): void {
    if (change.type === 'holder') this.#board.setHolder(change.peer, change.record, this.#deps.port.clock.monotonic())
    else this.#board.setBudget(change.id, change.record)
  }

  async #decide(change: BudgetChange, view: JournalView<SeenChange>): Promise<void> {
    const { batcher } = this.#deps
    const isDecided = await this.#loop.decide(change, (ending) => batcher.decide(change, ending), true)
    if (isDecided && change.do === 'expire') this.#expired += 1
    if (this.#signal.aborted) return
    this.#read(view)
    this.#board.answered(change)
    this.#loop.wake()
  }
}
