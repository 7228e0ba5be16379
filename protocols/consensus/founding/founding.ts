/**
 * The founding of a mesh over the Port: asks the peers how far they are, proposes when it is this node's turn, asks a
 * promised set again until it is decided, and saves before it says anything.
 *
 * The rules and why they are safe: steps.ts. Whose turn it is: outlook.ts; that only decides how soon a mesh is founded,
 * never whether two are. Once this node belongs to a mesh it asks nothing any more, and answers whoever asks.
 *
 * State: the record and what was heard about its promise; the last standing of each peer (bounded); steps that wait for
 * the disk (bounded).
 */
import { isParleyError, ParleyError } from '../../errors.ts'
import type { Stop } from '../../port.ts'
import { peerOf } from '../member-id.ts'
import type { Founding, FoundingDeps, FoundingOptions } from './api.ts'
import { foundingProtocol, type Standing } from './contract.ts'
import { type Outlook, outlookOf } from './outlook.ts'
import { MAX_FOUNDERS, MeshIdSchema, meshIdFor, type Proposal } from './record.ts'
import { statusOf } from './status.ts'
import { consider, hear, learn, meshIdIn, propose, resume, type Step } from './steps.ts'

/** Between two questions to the same peer. */
const ASK_MS = 1_000
/** A standing that is older says nothing. */
const FRESH_MS = 2_500
/** How long the next one leaves the proposal to those before it. */
const PATIENCE_MS = 2_000
/** After a refusal; doubled each time, and drawn between a half and one and a half of it. */
const BACKOFF_MS = 100
const MAX_BACKOFF_MS = 5_000
/** A promise that is not decided by then needs somebody to look. */
const LATE_MS = 10_000
const MAX_WAITING = 1_024
const MAX_PEERS = 1_024

const checked = ({ member, expect, joins }: FoundingOptions, self: string): number | undefined => {
  if (peerOf(member) !== self) {
    throw new ParleyError('MSG001', `${member} is not a member id of this node, ${self}`, { hint: 'use memberIdOf' })
  }
  if (expect !== undefined && !(Number.isInteger(expect) && expect >= 1 && expect <= MAX_FOUNDERS)) {
    throw new ParleyError('MSG001', `expect is ${expect}; it must be a whole number from 1 to ${MAX_FOUNDERS}`, {
      hint: 'give the number of nodes that found the mesh together; any number may join it later',
    })
  }
  return expect ?? (joins ? undefined : 1)
}

/**
 * Resolves once this node takes part; one that founds alone has founded by then.
 * @throws MSG001 for options that cannot be; what the store says where it cannot be read; STA003 `unsaved`
 */
export const startFounding = async ({ port, store }: FoundingDeps, options: FoundingOptions): Promise<Founding> => {
  const { member } = options
  const expect = checked(options, port.self.id)
  const now = (): number => port.clock.monotonic()
  const counts = { proposed: 0, released: 0, unanswered: 0, dropped: 0, unsaved: 0 }
  const listeners = new Set<(meshId: string) => void>()
  const standings = new Map<string, { standing: Standing; atMs: number }>()
  /** Members of the promised set whose peers came back without their disk. */
  const lost = new Set<string>()
  /** Questions on their way, each to be asked once at a time. */
  const asking = new Set<string>()
  const ending = new AbortController()
  const stops: Stop[] = []
  let stopAttempt: Stop = () => {}
  let stopped = false
  let waiting = 0
  let tail: Promise<unknown> = Promise.resolve()
  let promisedAtMs = now()
  /** Since when a set could be proposed. */
  let readyAtMs: number | undefined
  let notBeforeMs = 0
  let refusals = 0
  const warned = new Set<'division' | 'late' | 'unsaved'>()

  const saved = await store.load()
  const meshIdOf = (set: readonly string[]): string => meshIdFor(port.hash, port.self.mesh, set)
  let state = resume({ member, expect, meshIdOf }, saved)
  const meshId = (): string | undefined => meshIdIn(state.record)
  const isOpen = (): boolean => !stopped && meshId() === undefined

  const save = async (record: typeof state.record): Promise<void> => {
    try {
      await store.save(record)
      warned.delete('unsaved')
    } catch (cause) {
      counts.unsaved += 1
      if (!warned.has('unsaved')) port.log.error('what this node promises cannot be saved', { error: cause })
      warned.add('unsaved')
      // The store's own words may name files; they stay here.
      const hint = 'look into the log of that node; it is asked again'
      throw new ParleyError('STA003', 'a node cannot save what it promises', {
        hint,
        details: { reason: 'unsaved' },
        cause,
      })
    }
  }
  if (saved !== undefined && state.record !== saved) await save(state.record)

  /** One step at a time; its outcome counts once it is durable. */
  const enter = <T>(step: (from: typeof state) => Step<T>): Promise<T> => {
    if (waiting >= MAX_WAITING) {
      counts.dropped += 1
      const hint = 'ask again later'
      return Promise.reject(new ParleyError('COM003', `${MAX_WAITING} steps of a founding wait for the disk`, { hint }))
    }
    waiting += 1
    const done = tail.then(async () => {
      waiting -= 1
      if (stopped) {
        const details = { reason: 'closed' }
        throw new ParleyError('STA003', 'this node is stopping', { hint: 'ask another one', details })
      }
      const before = state
      const { state: next, result } = step(before)
      if (next.record !== before.record) await save(next.record)
      state = next
      follow(before)
      return result
    })
    tail = done.catch(() => {})
    return done
  }
  /** Where nobody waits for the outcome: it comes up again. */
  const quietly = (done: Promise<unknown>): void => {
    done.catch((error: unknown) => {
      if (!isParleyError(error)) port.log.error('a step of the founding failed', { error })
    })
  }

  /** What a change of the record brings with it. */
  const follow = (before: typeof state): void => {
    const [was, is] = [before.record, state.record]
    if (meshIdIn(was) === undefined && meshIdIn(is) !== undefined) {
      settle()
    } else if (was.promise === undefined && is.promise !== undefined) {
      promisedAtMs = now()
      readyAtMs = undefined
      askSet()
    } else if (was.promise !== undefined && is.promise === undefined) {
      counts.released += 1
      lost.clear()
      warned.delete('late')
      if (was.promise.round.proposer === member) backOff()
      askAll(0)
    }
  }

  const backOff = (): void => {
    const drawn = new DataView(port.random(4).slice().buffer).getUint32(0) / 2 ** 32
    notBeforeMs = now() + Math.min(BACKOFF_MS * 2 ** refusals, MAX_BACKOFF_MS) * (0.5 + drawn)
    refusals = Math.min(refusals + 1, 16)
  }

  /** This node belongs to a mesh now, for good. */
  const settle = (): void => {
    const id = meshId()
    if (id === undefined) return
    const { founded } = state.record
    port.log.info(founded === undefined ? 'this node belongs to a founded mesh' : 'the mesh is founded', {
      meshId: id,
      ...(founded !== undefined && { members: founded.members }),
    })
    for (const { id: peer } of port.members()) if (standings.get(peer)?.standing.state !== 'founded') quietly(ask(peer))
    quiet()
    for (const fn of listeners) {
      try {
        fn(id)
      } catch (error) {
        port.log.error('somebody who waited for the mesh id failed', { error })
      }
    }
    listeners.clear()
  }
  const quiet = (): void => {
    stopAttempt()
    for (const stop of stops.splice(0)) stop()
    standings.clear()
  }

  const standing = (): Standing => {
    const id = meshId()
    const free = expect === undefined ? 'joiner' : 'candidate'
    return {
      state: id !== undefined ? 'founded' : state.record.promise !== undefined ? 'promised' : free,
      member: state.record.member,
      counter: state.record.highest.counter,
      ...(expect !== undefined && { expect }),
      ...(id !== undefined && { meshId: id }),
    }
  }
  const fresh = (): Standing[] => {
    const sinceMs = now() - FRESH_MS
    return [...standings.values()].filter(({ atMs }) => atMs >= sinceMs).map((one) => one.standing)
  }
  const outlook = (): Outlook | undefined => {
    if (!isOpen() || expect === undefined || state.record.promise !== undefined) return undefined
    // Who founds alone needs nobody.
    return outlookOf({ ...standing(), expect }, expect === 1 ? [] : fresh())
  }

  /** Proposes where it is this node's turn, or sees to it that this is looked at again then. */
  const attempt = (): void => {
    stopAttempt()
    const view = outlook()
    if (view?.isDivided && !warned.has('division')) {
      warned.add('division')
      port.log.warn('no mesh is founded', { problem: view.problem })
    }
    const { set, rank } = view ?? {}
    if (set === undefined || rank === undefined) {
      readyAtMs = undefined
      return
    }
    readyAtMs ??= now()
    const leftMs = Math.max(notBeforeMs, readyAtMs + rank * PATIENCE_MS) - now()
    if (leftMs > 0) stopAttempt = port.timers.after(leftMs, attempt)
    else quietly(proposeSet(set))
  }
  const proposeSet = async (set: readonly string[]): Promise<void> => {
    const above = Math.max(0, ...fresh().map(({ counter }) => counter))
    notBeforeMs = now() + BACKOFF_MS
    if ((await enter((from) => propose(from, set, above))) !== undefined) counts.proposed += 1
  }

  const once = async (question: string, run: () => Promise<void>): Promise<void> => {
    if (stopped || asking.has(question)) return
    asking.add(question)
    try {
      await run()
    } catch {
      counts.unanswered += 1
    } finally {
      asking.delete(question)
    }
  }

  const ask = (peer: string): Promise<void> =>
    once(`ask ${peer}`, async () => {
      try {
        see(peer, await port.to(peer, foundingProtocol).ask({ standing: standing() }, { signal: ending.signal }))
      } catch (error) {
        standings.delete(peer)
        throw error
      }
    })
  /** @param heardMs who was heard of in so many milliseconds is left out, as who was asked by `askSet` */
  const askAll = (heardMs = ASK_MS / 2): void => {
    const sinceMs = now() - heardMs
    for (const { id } of port.members()) {
      const isHeard = (standings.get(id)?.atMs ?? Number.NEGATIVE_INFINITY) > sinceMs
      if (!isHeard && placeOf(id) === undefined) quietly(ask(id))
    }
  }

  /** The member that this peer is, in the promised set. */
  const placeOf = (peer: string): string | undefined => state.record.promise?.set.find((one) => peerOf(one) === peer)

  const askFor = (proposal: Proposal, asked: string): Promise<void> => {
    const peer = peerOf(asked)
    return once(`propose ${proposal.round.counter} ${proposal.round.proposer} ${peer}`, async () => {
      const answer = await port.to(peer, foundingProtocol).propose(proposal, { signal: ending.signal })
      if (peerOf(answer.member) !== peer) throw new ParleyError('MSG001', `${peer} speaks for ${answer.member}`)
      if (answer.member !== asked && state.record.promise !== undefined) lost.add(asked)
      await enter((from) => hear(from, proposal, answer))
    })
  }
  const askSet = (): void => {
    const { promise, member: own } = state.record
    if (promise === undefined) return
    for (const one of promise.set) {
      if (one !== own && !state.promised.includes(one)) quietly(askFor(promise, one))
    }
  }

  /** What a peer says of itself. */
  const see = (peer: string, said: Standing): void => {
    if (peerOf(said.member) !== peer) {
      const hint = 'a node tells its own member id'
      throw new ParleyError('MSG001', `${peer} speaks for ${said.member}`, { hint })
    }
    if (!isOpen()) return
    if (standings.size >= MAX_PEERS && !standings.has(peer)) counts.dropped += 1
    else standings.set(peer, { standing: said, atMs: now() })
    const { promise } = state.record
    const place = placeOf(peer)
    const { meshId: theirs } = said
    if (theirs !== undefined) quietly(enter((from) => learn(from, theirs)))
    // It knows of the promise, and does not hold it: its answer decides.
    else if (promise !== undefined && place !== undefined && said.state !== 'promised') quietly(askFor(promise, place))
    attempt()
  }

  const isLate = (): boolean => state.record.promise !== undefined && now() - promisedAtMs >= LATE_MS
  const status: Founding['status'] = () => statusOf(state, { outlook: outlook(), isLate: isLate(), lost })
  const look = (): void => {
    askSet()
    askAll()
    attempt()
    if (!isLate() || warned.has('late')) return
    warned.add('late')
    port.log.warn('the founding of the mesh does not get on', { problem: status().problem })
  }

  if (expect === 1) await enter((from) => propose(from, [member], 0))

  const unserve = await port.serve(foundingProtocol, {
    async ask({ standing: said }, { peer }) {
      see(peer, said)
      return standing()
    },
    async propose(proposal, { peer }) {
      const peers = proposal.set.map(peerOf)
      if (peers.includes(port.self.id) && peers.includes(peer)) return enter((from) => consider(from, proposal))
      throw new ParleyError('MSG001', 'the proposed set does not have both who asks and who is asked', {
        hint: 'a founding set is proposed to its members, by its members',
      })
    },
  })
  if (isOpen()) {
    stops.push(
      port.timers.every(ASK_MS, look),
      port.onMember(({ id }, change) => {
        if (change === 'left') standings.delete(id)
        else look()
      }),
    )
    look()
  }

  return {
    meshId,
    founded: () => state.record.founded,
    status,
    async adopt(id) {
      if (MeshIdSchema.safeParse(id).success) return enter((from) => learn(from, id))
      throw new ParleyError('MSG001', `${JSON.stringify(id).slice(0, 128)} is no mesh id`, {
        hint: 'a mesh id is 32 lowercase hexadecimal digits',
      })
    },
    onMeshId(fn) {
      listeners.add(fn)
      return () => listeners.delete(fn)
    },
    counts: () => ({ ...counts }),
    async stop() {
      stopped = true
      quiet()
      ending.abort(new ParleyError('STA003', 'this node is stopping', { details: { reason: 'closed' } }))
      await tail
      await unserve()
    },
  }
}
