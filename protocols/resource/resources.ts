/**
 * Resources: what nodes have to give, and who has been given what of it (docs/resources.md).
 *
 * What is allocated stands in the journal. The coordinator grants it (planner/), its holder hears of it and gives it back
 * (client/), and the node that gives it ends work on it when it is over (client/claims.ts). Any node gives and asks alike.
 * State: what this node holds and gives, and while it coordinates the board of all nodes and allocations.
 * Wire id: `/parley/resource/1`.
 */
import { checkedInput } from '../checked-input.ts'
import type { CoordinatorFeature } from '../coordinator/api.ts'
import type { Handlers } from '../define.ts'
import { ParleyError } from '../errors.ts'
import type { Events } from '../events/api.ts'
import { EventTeller } from '../events/event-teller.ts'
import { ChangeBatcher } from '../journal/client/change-batcher.ts'
import type { Journal } from '../journal/client/journal-client.ts'
import { onceLevelIsKnown } from '../journal/client/level-wait.ts'
import { FeedFollower } from '../journal/feed/feed-follower.ts'
import { RecordFeeds } from '../journal/feed/record-feeds.ts'
import type { JournalMember } from '../journal/journal-server.ts'
import type { TableData } from '../part.ts'
import type { Port } from '../port.ts'
import { createRegistration, type Registration } from '../registration.ts'
import type { AllocateOptions, HeldAllocation, Resources, ResourcesCounts } from './api.ts'
import { AskedAllocations } from './client/asked-allocations.ts'
import { Claims } from './client/claims.ts'
import { Holdings } from './client/holdings.ts'
import { NodeLease, NodeOffer } from './client/node-lease.ts'
import {
  allocatedMessage,
  deniedMessage,
  type ResourceAnswer,
  readResourceMessage,
} from './client/resource-messages.ts'
import { ResourceReader } from './client/resource-reader.ts'
import { notDecided, wantedAllocation } from './client/wanted-allocation.ts'
import { FED_ALLOCATIONS, type FedAllocation, resourceProtocol } from './contract.ts'
import { levelOfChange, MAX_CHANGES_AT_ONCE, type ResourceChange } from './journal/resource-changes.ts'
import { assignResources, decideResources } from './journal/resource-kinds.ts'
import { Demands, type TaskCapacity } from './planner/demands.ts'
import { ResourcePlanner } from './planner/resource-planner.ts'
import { type ResourceFigures, resourceFigures } from './resource-figures.ts'
import type { Allocation } from './resource-record.ts'
import { fits, NONE, type Units, UnitsSchema } from './units.ts'

/** Beyond what an allocation may wait: its denial has to be decided too. Milliseconds. */
const ANSWER_MS = 10_000

export interface ResourcesDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'random' | 'log' | 'to'>
  readonly journal: Journal
  readonly coordinator: Pick<CoordinatorFeature, 'status' | 'onChange' | 'act'>
  readonly events: Pick<Events, 'publish' | 'hasAudience'>
  /** This node's copy of the journal. */
  member(): JournalMember | undefined
}

export interface ResourcesFeature extends Resources {
  readonly handlers: Handlers<typeof resourceProtocol>
  /** For tasks. */
  readonly forTasks: { readonly capacity: TaskCapacity; readonly claim: Resources['claim'] }
  readonly forPlans: Pick<NodeOffer, 'utilization' | 'adjust'> & Pick<Resources, 'status'>
  figures(): ResourceFigures
  /** What nodes have, for people. */
  nodesTable(): Promise<TableData>
  /** Who has what, for people. */
  allocationsTable(): Promise<TableData>
  stop(): Promise<void>
}

class NodeResources implements ResourcesFeature {
  readonly handlers: Handlers<typeof resourceProtocol>
  readonly #deps: ResourcesDeps
  readonly #batcher: ChangeBatcher<ResourceChange>
  readonly #lease: NodeLease
  readonly #claims: Claims
  readonly #holdings = new Holdings()
  readonly #demands = new Demands()
  /** Of events. */
  readonly #teller: EventTeller
  readonly #reader: ResourceReader
  readonly #feeds: RecordFeeds<Allocation, FedAllocation>
  readonly #acting: Registration
  readonly #end = new AbortController()
  readonly #offer: NodeOffer
  readonly #asked: AskedAllocations
  #follower: FeedFollower<FedAllocation> | undefined
  #planner: ResourcePlanner | undefined

  constructor(deps: ResourcesDeps) {
    this.#deps = deps
    const { port, coordinator, member } = deps
    this.#batcher = new ChangeBatcher({
      of: 'resources',
      maxAtOnce: MAX_CHANGES_AT_ONCE,
      levelOf: levelOfChange,
      submit: (level, changes) => this.#submit(level, changes),
    })
    this.#teller = new EventTeller(port.log, 'resources')
    this.#reader = new ResourceReader(deps.journal, port.timers)
    this.#claims = new Claims(port, () => this.#lease.capacity())
    this.#lease = new NodeLease({
      ...{ port, batcher: this.#batcher },
      onOver: (why) => {
        this.#claims.endAll(why)
        this.#holdings.endAll(why)
      },
      onRegistered: (registration) => this.#claims.onRegistered(registration),
      onCapacity: () => this.#claims.beginEarly(),
    })
    this.#offer = new NodeOffer(this.#lease, () => this.#claims.used())
    this.#asked = new AskedAllocations({
      ...{ batcher: this.#batcher, lease: this.#lease, holdings: this.#holdings },
      read: (id, signal) => this.#reader.allocation(id, signal),
    })
    const feeds = new RecordFeeds(port, FED_ALLOCATIONS, () => (coordinator.status().acting ? member() : undefined))
    this.#feeds = feeds
    this.handlers = {
      feed: async function* (this: void, request, { peer, signal }) {
        for await (const { told, ...item } of feeds.follow(peer, request, signal)) yield { ...item, allocations: told }
      },
    }
    this.#acting = coordinator.act(({ epoch, signal }) => this.#coordinate(epoch, signal))
  }

  async offer(capacity: Units): Promise<Registration> {
    const units = checkedInput(UnitsSchema, capacity, 'a node cannot offer that')
    await this.#own().live(this.#end.signal)
    await this.#offer.offer(units)
    // What was given of more has ended in the journal, and may not have been heard of here.
    const isWithin = (): boolean => !this.#offer.isOffered(units) || fits(units, NONE, this.#claims.used())
    await this.#claims.until(isWithin, this.#end.signal)
    return createRegistration(() => this.#offer.withdraw(units))
  }

  async allocate(what: AllocateOptions): Promise<HeldAllocation> {
    const { port } = this.#deps
    const { id, ask, timeoutMs } = wantedAllocation(port, what)
    const limit = new AbortController()
    const stop = port.timers.after(timeoutMs + ANSWER_MS, () => limit.abort(notDecided(id)))
    const signal = AbortSignal.any([this.#end.signal, limit.signal, ...(what.signal ? [what.signal] : [])])
    try {
      await this.#own().live(signal)
      return this.#held(await this.#asked.ask(id, ask, signal))
    } finally {
      stop()
    }
  }

  #held(holding: Omit<HeldAllocation, 'release' | typeof Symbol.asyncDispose>): HeldAllocation {
    const { id, signal } = holding
    const release = async (): Promise<void> => {
      if (!this.#holdings.isReplaced(id, signal)) await this.release(id)
    }
    return { ...holding, release, [Symbol.asyncDispose]: release }
  }

  release(id: string): Promise<void> {
    return this.#asked.release(id)
  }

  get: Resources['get'] = (id, options) => this.#reader.get(id, options)
  list: Resources['list'] = (options) => this.#reader.list(options)
  status: Resources['status'] = (options) => this.#reader.status(options)
  nodesTable = (): Promise<TableData> => this.#reader.nodesTable()
  allocationsTable = (): Promise<TableData> => this.#reader.allocationsTable()
  claim: Resources['claim'] = (id, options) => this.#claims.claim(id, options)
  readonly forTasks = { capacity: this.#demands, claim: this.claim }
  readonly forPlans: ResourcesFeature['forPlans'] = {
    utilization: () => this.#offer.utilization(),
    adjust: (changes) => this.#offer.adjust(changes),
    status: this.status,
  }
  onClaim: Resources['onClaim'] = (fn) => this.#claims.onClaim(fn)

  async receive(type: string, payload: unknown): Promise<ResourceAnswer> {
    const message = readResourceMessage(type, payload)
    const { task } = message
    if (message.type === 'resource.allocate')
      try {
        return allocatedMessage(task, (await this.allocate(message.what)).parts)
      } catch (error) {
        return deniedMessage(task, error)
      }
    return { type: 'resource.released', payload: await this.#releaseOf(task, message.resourceIds) }
  }

  /** Whole allocations only: a gang is had together. @throws MSG001, STA001 */
  async #releaseOf(task: string, wanted: readonly string[] | undefined) {
    const own = this.#holdings.of(task)
    const chosen =
      wanted === undefined ? own : own.filter(({ resources }) => resources.some((id) => wanted.includes(id)))
    const ids = [...new Set(chosen.flatMap(({ resources }) => resources))]
    const missing = wanted?.find((id) => !ids.includes(id))
    if (missing !== undefined)
      throw new ParleyError('STA001', `the task ${task} has no ${missing} of this node`, {
        hint: '`parley resources allocations` shows what is held, and by whom',
      })
    const more = wanted === undefined ? undefined : ids.find((id) => !wanted.includes(id))
    if (more !== undefined)
      throw new ParleyError('MSG001', `${more} was allocated with others that are released`, {
        hint: 'an allocation is released whole: name all of its resources',
      })
    await Promise.all(chosen.map(({ id }) => this.release(id)))
    return { task_id: task, resource_ids: ids }
  }

  counts(): ResourcesCounts {
    return { ...this.#asked.counts(), ...this.#holdings.counts(), given: this.#claims.size() }
  }

  figures(): ResourceFigures {
    return resourceFigures({
      ...{ planner: this.#planner?.counts(), feeds: this.#feeds.counts().feeds, untold: this.#teller.dropped() },
      ...{ decided: this.#batcher.counts(), own: this.counts() },
    })
  }

  async stop(): Promise<void> {
    await this.#lease.stop()
    this.#end.abort(
      new ParleyError('COM002', 'this node stops', { hint: 'ask another node', details: { reason: 'stopped' } }),
    )
    await this.#acting.stop()
    this.#follower?.stop()
    this.#feeds.stop()
  }

  async #coordinate(epoch: number, signal: AbortSignal): Promise<void> {
    const deps = { ...this.#deps, batcher: this.#batcher, demands: this.#demands, teller: this.#teller }
    const planner = new ResourcePlanner(deps, epoch, signal)
    this.#planner = planner
    try {
      await planner.run()
    } finally {
      if (this.#planner === planner) this.#planner = undefined
    }
  }

  #submit(level: number, changes: ResourceChange[]) {
    const { port, journal } = this.#deps
    const kind = level === 1 ? decideResources : assignResources
    return onceLevelIsKnown(port, () => journal.submit(kind, { changes }, { isChecked: true }))
  }

  /** It was asked for by this node in this life, and nobody waits for it any more: its asking was decided late. */
  #isForgotten(id: string, { holder, registration, status, isAssigned = false }: Allocation): boolean {
    const isOwn = holder === this.#deps.port.self.id && registration === this.#lease.registration() && !isAssigned
    return isOwn && !this.#holdings.has(id) && (status === 'waiting' || status === 'allocated')
  }

  /** The feed of what this node has and gives. */
  #own(): FeedFollower<FedAllocation> {
    const { port } = this.#deps
    this.#follower ??= new FeedFollower<FedAllocation>(this.#deps, {
      of: 'resources',
      async *open(leader, request, signal) {
        const followed = port.to(leader, resourceProtocol).feed(request, { signal })
        for await (const { allocations, ...item } of followed) yield { ...item, told: allocations }
      },
      idOf: ({ id }) => id,
      onTold: ({ id, allocation, version }) => {
        this.#claims.onTold(id, allocation)
        if (allocation !== undefined && this.#isForgotten(id, allocation)) void this.release(id).catch(() => {})
        else this.#holdings.onTold(id, allocation, version)
      },
      onReset: (ids, version) => {
        this.#claims.onReset(ids)
        this.#holdings.onReset(ids, version)
      },
    })
    return this.#follower
  }
}

export const createResources = (deps: ResourcesDeps): ResourcesFeature => new NodeResources(deps)
