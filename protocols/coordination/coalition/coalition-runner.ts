/**
 * What the coordinator does about coalitions, for as long as it coordinates: it reads the journal's changes, looks at its board,
 * directs agents and has decided what comes of it. Another coordinator goes on from what the journal says, and directs anew.
 * State: the board, of one epoch.
 */
import type { ChangeBatcher } from '../../journal/client/change-batcher.ts'
import { CoordinatorLoop } from '../../journal/feed/coordinator-loop.ts'
import { JournalView } from '../../journal/feed/journal-view.ts'
import type { JournalClock } from '../../journal/journal-clock.ts'
import type { JournalMember } from '../../journal/journal-server.ts'
import type { Port, Stop } from '../../port.ts'
import type { Detected } from '../../task/scheduler/worker-presence.ts'
import { uuid7 } from '../../wire/message-id.ts'
import type { CoalitionChange } from '../journal/coalition-changes.ts'
import { type Directive, type DirectiveAnswer, isoTime } from '../messages.ts'
import { CoalitionBoard, type CoalitionBoardCounts, type WantedDirective } from './coalition-board.ts'
import { COALITION_PREFIX, type CoalitionRecord, readCoalition } from './coalition-record.ts'
import type { Reached } from './watched-coalition.ts'

/** Milliseconds; it looks at the latest then, and at most so often for the sake of time alone. */
const LOOK_MS = 500
const LEAST_MS = 20

export interface CoalitionRunnerDeps {
  readonly port: Pick<Port, 'clock' | 'timers' | 'random' | 'log' | 'onMember'>
  readonly batcher: Pick<ChangeBatcher<CoalitionChange>, 'decide'>
  member(): Pick<JournalMember, 'machine' | 'clock'> | undefined
  /** Told of whom the failure detector suspects, finds dead, or there again. */
  onPresence(fn: (peer: string, presence: Detected) => void): Stop
  /** What it believes of a peer now. */
  presenceOf(peer: string): Detected
  /** Whether there was ever such an agent: others are not looked for, whoever names them. All are unless told. */
  isKnown?(peer: string): boolean
  /** Directs an agent, with its retries. @throws the signal's reason */
  send(directive: Directive, signal: AbortSignal): Promise<DirectiveAnswer>
}

interface RecordChange {
  readonly id: string
  readonly record: CoalitionRecord | undefined
}

const readChange = (key: string, _version: number, value: unknown): RecordChange | undefined =>
  key.startsWith(COALITION_PREFIX)
    ? { id: key.slice(COALITION_PREFIX.length), record: readCoalition(value) }
    : undefined

export class CoalitionRunner {
  readonly #deps: CoalitionRunnerDeps
  readonly #signal: AbortSignal
  readonly #board: CoalitionBoard
  readonly #loop: CoordinatorLoop

  constructor(deps: CoalitionRunnerDeps, epoch: number, signal: AbortSignal) {
    this.#deps = deps
    this.#signal = signal
    this.#loop = new CoordinatorLoop({ port: deps.port, signal, of: 'coalitions' })
    this.#board = new CoalitionBoard(epoch, (peer) => {
      const presence = deps.presenceOf(peer)
      return presence === 'there' || presence === 'suspect'
    })
  }

  counts(): CoalitionBoardCounts {
    return this.#board.counts()
  }

  /** Resolves once this node coordinates no more. */
  async run(): Promise<void> {
    const member = this.#deps.member()
    if (member === undefined) return
    const { clock } = member
    const view = new JournalView(member, readChange)
    this.#load(view)
    const stopHearing = member.machine.onApplied(this.#loop.wake)
    const look = (peer: string): void => {
      this.#board.presenceChanged(peer)
      this.#loop.wake()
    }
    const stopPresence = this.#deps.onPresence(look)
    // Who was started anew is connected again before it is found to have been gone.
    const stopMembers = this.#deps.port.onMember(({ id }, change) => {
      if (change === 'joined') look(id)
    })
    try {
      while (!this.#signal.aborted) {
        this.#read(view)
        const { changes, directives } = this.#board.wanted(clock.now())
        for (const change of changes) void this.#decide(change, view)
        for (const directive of directives) void this.#direct(directive, clock)
        await this.#untilNews(clock)
      }
    } finally {
      stopHearing()
      stopPresence()
      stopMembers()
    }
  }

  /** What was told before in this epoch counts on. */
  #load(view: JournalView<RecordChange>): void {
    const gone = new Set(this.#board.ids())
    for (const { id, record } of view.all()) {
      this.#board.set(id, record)
      gone.delete(id)
    }
    for (const id of gone) this.#board.set(id, undefined)
  }

  #read(view: JournalView<RecordChange>): void {
    const changes = view.changes()
    if (changes === undefined) this.#load(view)
    else for (const { id, record } of changes) this.#board.set(id, record)
  }

  async #decide(change: CoalitionChange, view: JournalView<RecordChange>): Promise<void> {
    const { batcher } = this.#deps
    await this.#loop.decide(change, (ending) => batcher.decide(change, ending))
    if (this.#signal.aborted) return
    this.#read(view)
    this.#board.answered(change)
    this.#loop.wake()
  }

  async #direct(wanted: WantedDirective, clock: JournalClock): Promise<void> {
    const reached = await this.#reached(wanted)
    if (this.#signal.aborted) return
    this.#board.directed(wanted, reached, clock.now())
    this.#loop.wake()
  }

  async #reached({ id, peer, coalition, fence }: WantedDirective): Promise<Reached> {
    const { port, send, isKnown } = this.#deps
    if (isKnown?.(peer) === false) return 'absent'
    const now = port.clock.now()
    const directive: Directive = {
      ...{ directive_id: uuid7(now, port.random(10)), timestamp: isoTime(now), target_agent: peer },
      ...{ plan: id, fence, action: 'form_coalition', parameters: coalition },
    }
    try {
      const answer = await send(directive, this.#signal)
      if (answer.status === 'accepted') return 'accepted'
      return answer.error === 'agent_unavailable' ? 'absent' : 'refused'
    } catch (error) {
      if (!this.#signal.aborted)
        port.log.warn('a member of a coalition was not directed', { coalition: id, peer, error })
      return 'absent'
    }
  }

  #untilNews(clock: JournalClock): Promise<void> {
    const due = this.#board.nextDueAt()
    const dueMs = due === undefined ? LOOK_MS : Math.min(LOOK_MS, Math.max(LEAST_MS, due - clock.now()))
    return this.#loop.untilNews(dueMs)
  }
}
