/**
 * Coalitions: agents that pursue one goal together for a while, and who leads them (docs/coordination.md).
 *
 * What a coalition is stands in the journal. Any node proposes one; the coordinator forms, watches and dissolves it
 * (coalition-runner.ts) by directives (`form_coalition` of `/parley/coordination/1`), which its members take or refuse
 * (member-coalitions.ts). State: what this node is a member of, and while it coordinates the board of all coalitions.
 * Wire id: `/parley/coalition/1`.
 */
import { checkedInput } from '../../checked-input.ts'
import type { CoordinatorFeature } from '../../coordinator/api.ts'
import type { Handlers } from '../../define.ts'
import { isParleyError, ParleyError } from '../../errors.ts'
import { ChangeBatcher, type Decided } from '../../journal/client/change-batcher.ts'
import type { Journal } from '../../journal/client/journal-client.ts'
import { onceLevelIsKnown } from '../../journal/client/level-wait.ts'
import { notLeading } from '../../journal/feed/record-feeds.ts'
import type { TableData } from '../../part.ts'
import type { Port } from '../../port.ts'
import type { Registration } from '../../registration.ts'
import { newAllocationId } from '../../resource/resource-record.ts'
import { nobodyDecides } from '../../task/client/wait-limit.ts'
import { checkKeys, keysOf } from '../../unknown-keys.ts'
import type { CoalitionChange } from '../journal/coalition-changes.ts'
import { decideCoalitions } from '../journal/coalition-kinds.ts'
import { MAX_CHANGES_AT_ONCE } from '../journal/plan-changes.ts'
import type { CoalitionDirectives } from '../plan-needs.ts'
import { PlanReason } from '../plan-record.ts'
import type { CoalitionListener, CoalitionStatus, Coalitions, CoalitionsCounts, NewCoalition } from './coalition-api.ts'
import { coalitionProtocol } from './coalition-contract.ts'
import { type CoalitionFigures, coalitionFigures } from './coalition-figures.ts'
import { CoalitionReader } from './coalition-reader.ts'
import { CoalitionId, ProposedCoalitionSchema } from './coalition-record.ts'
import { CoalitionRunner, type CoalitionRunnerDeps } from './coalition-runner.ts'
import { MemberCoalitions, type MemberDeps } from './member-coalitions.ts'

const FORM_MS = 30_000

const KEYS = keysOf<NewCoalition>({
  ...{ id: true, goal: true, members: true, leader: true, ttlMs: true, minMembers: true },
  ...{ signal: true, timeoutMs: true },
})

export interface CoalitionsDeps
  extends Omit<CoalitionRunnerDeps, 'port' | 'batcher' | 'send'>,
    Omit<MemberDeps, 'port'> {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'random' | 'log' | 'to' | 'onMember'>
  readonly journal: Journal
  readonly coordinator: Pick<CoordinatorFeature, 'act' | 'status'>
  /** How members are directed, and how this node is. */
  readonly directives: CoalitionDirectives
}

export interface CoalitionsFeature extends Coalitions {
  readonly handlers: Handlers<typeof coalitionProtocol>
  figures(): CoalitionFigures
  /** All coalitions, for people. */
  table(): Promise<TableData>
  stop(): Promise<void>
}

class NodeCoalitions implements CoalitionsFeature {
  readonly handlers: Handlers<typeof coalitionProtocol>
  readonly #deps: CoalitionsDeps
  readonly #batcher: ChangeBatcher<CoalitionChange>
  readonly #reader: CoalitionReader
  readonly #own: MemberCoalitions
  readonly #acting: Registration
  readonly #directed: Registration
  readonly #end = new AbortController()
  #formed = 0
  #runner: CoalitionRunner | undefined

  constructor(deps: CoalitionsDeps) {
    this.#deps = deps
    const { journal, port, coordinator, directives } = deps
    this.#batcher = new ChangeBatcher({
      of: 'coalitions',
      maxAtOnce: MAX_CHANGES_AT_ONCE,
      levelOf: () => 1,
      submit: (_level, changes) =>
        onceLevelIsKnown(port, () => journal.submit(decideCoalitions, { changes }, { isChecked: true })),
    })
    this.#reader = new CoalitionReader(journal, port, this.#end.signal)
    this.#own = new MemberCoalitions(deps)
    this.handlers = {
      dissolve: async ({ id, reason }) => {
        const { epoch, acting } = coordinator.status()
        if (!acting) throw notLeading()
        await this.#decide({ do: 'dissolve', id, epoch, ...(reason !== undefined && { reason }) })
        return {}
      },
    }
    this.#directed = directives.onCoalition((coalition, fence) => this.#own.direct(coalition, fence))
    this.#acting = coordinator.act(({ epoch, signal }) => this.#coordinate(epoch, signal))
  }

  async form(what: NewCoalition): Promise<CoalitionStatus> {
    checkKeys(what, KEYS, 'a coalition')
    const problem = 'the coalition cannot be formed'
    const { goal, members, ttlMs, timeoutMs = FORM_MS } = what
    const { leader = members[0], minMembers = members.length } = what
    const id = what.id === undefined ? newAllocationId(this.#deps.port) : checkedInput(CoalitionId, what.id, problem)
    const proposed = { goal, leader, members: [...members], minMembers, ttlMs }
    const coalition = checkedInput(ProposedCoalitionSchema, proposed, problem)
    return this.#reader.within(
      { ...what, timeoutMs },
      () => nobodyDecides(timeoutMs),
      async (signal) => {
        await this.#batcher.decide({ do: 'propose', id, coalition }, { signal })
        const status = await this.#reader.formed(id, signal)
        this.#formed += 1
        return status
      },
    )
  }

  get: Coalitions['get'] = (id, options) => this.#reader.get(id, options)
  list: Coalitions['list'] = (options) => this.#reader.list(options)
  table = (): Promise<TableData> => this.#reader.table()

  async leave(id: string): Promise<void> {
    const { fence } = await this.#decide({ do: 'leave', id: checkedInput(CoalitionId, id, 'it cannot be left') })
    await this.#own.left(id, fence)
  }

  async dissolve(id: string, reason?: string): Promise<void> {
    const asked = {
      id: checkedInput(CoalitionId, id, 'it cannot be dissolved'),
      ...(reason !== undefined && { reason: checkedInput(PlanReason, reason, 'it cannot be dissolved for that') }),
    }
    try {
      await this.#decide({ do: 'dissolve', ...asked })
    } catch (error) {
      const { leader } = this.#deps.coordinator.status()
      if (!isParleyError(error, 'SEC002') || leader === undefined) throw error
      // The coordinator does it for who may have it done.
      await this.#deps.port.to(leader, coalitionProtocol).dissolve(asked, { signal: this.#end.signal })
    }
  }

  onCoalition = (fn: CoalitionListener): Registration => this.#own.onCoalition(fn)
  isIn = (id: string): boolean => this.#own.isIn(id)

  counts(): CoalitionsCounts {
    return { ...this.#own.counts(), formed: this.#formed }
  }

  figures(): CoalitionFigures {
    return coalitionFigures({ board: this.#runner?.counts(), own: this.counts(), decided: this.#batcher.counts() })
  }

  async stop(): Promise<void> {
    this.#end.abort(
      new ParleyError('COM002', 'this node stops', { hint: 'ask another node', details: { reason: 'stopped' } }),
    )
    this.#own.stop()
    await this.#directed.stop()
    await this.#acting.stop()
  }

  #decide(change: CoalitionChange): Promise<Decided> {
    return this.#batcher.decide(change, { signal: this.#end.signal })
  }

  async #coordinate(epoch: number, signal: AbortSignal): Promise<void> {
    const { directives } = this.#deps
    const send: CoalitionRunnerDeps['send'] = (directive, ends) => directives.direct(directive, ends)
    const runner = new CoalitionRunner({ ...this.#deps, batcher: this.#batcher, send }, epoch, signal)
    this.#runner = runner
    try {
      await runner.run()
    } finally {
      if (this.#runner === runner) this.#runner = undefined
    }
  }
}

export const createCoalitions = (deps: CoalitionsDeps): CoalitionsFeature => new NodeCoalitions(deps)
