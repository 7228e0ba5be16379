/**
 * Resources on nodes of the simulated mesh, as node/parts/built-in.ts starts them: offered, asked for, given back, while nodes
 * are killed, lose power, are frozen, leave and are cut off, holder, owner and coordinator alike. Everything follows from the
 * seed.
 *
 * At each index of the journal no node gives more than it has (observer.ts). What each node believes that it gives is never more
 * than it has either, and nobody works on what is over for longer than a lease. At the end all are there and connected again:
 * whoever asks is answered, nothing is stranded, and all of it can be had at once.
 */
import { isParleyError } from '../../../protocols/errors.ts'
import type { AllocateOptions } from '../../../protocols/resource/api.ts'
import { LEASE_MARGIN_MS, LEASE_MS } from '../../../protocols/resource/planner/resource-board.ts'
import { amountOf } from '../../../protocols/resource/units.ts'
import type { JournalMesh } from '../../support/journal-mesh.ts'
import { Scene, type SceneOptions } from '../scene.ts'
import { type ResourceNode, ResourceNodes } from './nodes.ts'
import { grantOf, openOnes, ResourceObserver, readAll } from './observer.ts'

const STEP_MS = [30, 350] as const
const FOUND_MS = 60_000
const HEAL_MS = 240_000
const LOOK_MS = 200
const OUTAGE_SHARE = 0.15
const ROLL_SHARE = 0.3
const SNAPSHOT_EVERY = 40
const MOST_HELD = 24
/** By its own clock a node ends what it has before others do; it looks each second. Milliseconds. */
const OVER_MS = 1_500
/** From when something is given back until who waits for it has it. */
const NEXT_MS = 5_000
/** To have all there is at once. */
const MOST_TRIES = 3
const ANOTHER_LIFE = new Error('a node is not what it was')
/** After what it rests on is over, work on it goes on for at most so long: milliseconds. */
const LATE_MS = LEASE_MS + LEASE_MARGIN_MS + 2_000
const PRIORITIES = ['low', 'normal', 'high', 'critical'] as const

class ResourcesWorld {
  readonly #scene: Scene
  readonly #mesh: JournalMesh
  readonly #nodes: ResourceNodes
  readonly #observer = new ResourceObserver()
  readonly #counts = { asked: 0, had: 0, refused: 0, released: 0, lost: 0, claimed: 0, dismissed: 0 }

  constructor(options: SceneOptions) {
    this.#scene = new Scene(options, SNAPSHOT_EVERY)
    this.#mesh = this.#scene.mesh
    const { problem } = this.#scene
    this.#nodes = new ResourceNodes(this.#mesh, this.#scene.tell, problem)
  }

  async run(steps: number): Promise<Record<string, number>> {
    await this.#nodes.found(FOUND_MS)
    for (let step = 0; step < steps; step += 1) {
      this.#ask()
      if (this.#scene.happens(0.5)) this.#ask()
      if (this.#scene.happens(0.4)) this.#release()
      if (this.#scene.happens(0.05)) this.#offer()
      if (this.#scene.happens(0.3)) await this.#nodes.killable.strike()
      await this.#scene.pass(STEP_MS)
      this.#look()
    }
    if (this.#scene.happens(OUTAGE_SHARE)) await this.#nodes.outage((peer) => this.#lookAtOutage(peer))
    else if (this.#scene.happens(ROLL_SHARE)) await this.#nodes.rollOver((one) => this.#giveAllBack(one))
    await this.#conclude()
    this.#nodes.killable.endAll()
    return { steps, ...this.#counts, ...this.#observer.counts, ...this.#nodes.counts() }
  }

  #draw(): AllocateOptions {
    const gpu = this.#scene.happens(0.3) ? 1 + this.#scene.below(2) : 0
    const units = { cpu: 1 + this.#scene.below(5), ...(gpu > 0 && { gpu }) }
    const owner = this.#scene.happens(0.2) ? this.#scene.anyOf(this.#nodes.all())?.node.id : undefined
    const count = this.#scene.happens(0.3) ? 2 + this.#scene.below(2) : 1
    const what = owner === undefined ? { units, count } : { parts: [{ units, owner }, { units: { cpu: 1 } }] }
    return {
      ...what,
      ...(this.#scene.happens(0.3) && { spread: true }),
      ...(this.#scene.happens(0.4) && { preemptible: true }),
      ...(this.#scene.happens(0.3) && { preempts: true }),
      priority: PRIORITIES[this.#scene.below(4)] ?? 'normal',
      timeoutMs: this.#scene.happens(0.2) ? 0 : this.#scene.below(6_000),
    }
  }

  #ask(): void {
    const from = this.#scene.anyOf(this.#nodes.all())
    if (from === undefined || from.held.size > MOST_HELD) return
    this.#counts.asked += 1
    const id = `a${this.#counts.asked}`
    const asked = from.resources.allocate({ id, ...this.#draw() }).then(
      (held) => {
        this.#counts.had += 1
        this.#scene.tell(`${from.node.name} has ${id}`)
        from.held.set(id, held)
        held.signal.addEventListener('abort', () => {
          if (from.held.delete(id)) this.#counts.lost += 1
        })
        if (held.signal.aborted) from.held.delete(id)
        this.#claim(id, held.parts[0]?.owner, held.fence)
      },
      (error: unknown) => {
        this.#counts.refused += 1
        if (!isParleyError(error)) this.#scene.problem(`${id}: ${error}`)
      },
    )
    from.asked.add(asked)
    void asked.finally(() => from.asked.delete(asked))
  }

  /** Whoever gives it knows of it, or will, or it is over. */
  #claim(id: string, owner: string | undefined, fence: { term: number; index: number }): void {
    const one = this.#nodes.all().find(({ node }) => node.id === owner)
    one?.resources.claim(id, { fence, timeoutMs: 20_000 }).then(
      (claim) => {
        this.#counts.claimed += 1
        if (grantOf(id, claim) !== grantOf(id, { fence })) this.#scene.problem(`${id} was claimed by another grant`)
      },
      () => {},
    )
  }

  #release(): void {
    const one = this.#scene.anyOf(this.#nodes.all().filter(({ held }) => held.size > 0))
    const id = one && this.#scene.anyOf([...one.held.keys()])
    if (one !== undefined && id !== undefined) this.#giveBack(one, id)
  }

  #giveAllBack(one: ResourceNode): void {
    for (const id of [...one.held.keys()]) this.#giveBack(one, id)
  }

  #giveBack(one: ResourceNode, id: string): void {
    const held = one.held.get(id)
    one.held.delete(id)
    const asked = held?.release().then(
      () => {
        this.#counts.released += 1
        if (!held.signal.aborted) this.#scene.problem(`${id} was released, and is held`)
      },
      (error: unknown) => {
        // It has it still, as far as it knows.
        if (!held.signal.aborted) one.held.set(id, held)
        if (!isParleyError(error)) this.#scene.problem(`${id} was not released: ${error}`)
      },
    )
    if (asked === undefined) return
    one.asked.add(asked)
    void asked.finally(() => one.asked.delete(asked))
  }

  #offer(): void {
    const one = this.#scene.anyOf(this.#nodes.all())
    if (one !== undefined) this.#nodes.offer(one, this.#nodes.drawCapacity())
  }

  #look(): void {
    const { time } = this.#mesh
    const { problem } = this.#scene
    for (const { node } of this.#nodes.all()) {
      const seat = node.seat()
      if (seat !== undefined) this.#observer.watch(seat.machine, () => time.now(), problem)
    }
    for (const one of this.#nodes.all()) this.#lookAt(one, time.now())
    this.#scene.requireWell()
  }

  /** What it believes. */
  #lookAt({ node, held, claims, frozenUntil }: ResourceNode, now: number): void {
    if (now <= frozenUntil) return
    for (const [id, one] of [...claims, ...held]) {
      const endedAt = this.#observer.endedAt.get(grantOf(id, one))
      if (endedAt !== undefined && now - endedAt > LATE_MS)
        this.#scene.problem(`${node.name} works on ${id}, which was over ${Math.round(now - endedAt)} ms ago`)
      const overMs = this.#observer.overFor(grantOf(id, one), node.id, now)
      if (overMs !== undefined && overMs > OVER_MS)
        this.#scene.problem(`${node.name} works on ${id}, and its lease was over ${Math.round(overMs)} ms ago`)
    }
  }

  /** Nothing rests on a node that is cut off for longer than its lease, where others decide. */
  #lookAtOutage(peer: string): void {
    const leader = this.#mesh.leader()
    const seen = this.#seen()
    const isAway = leader !== undefined && leader.id !== peer && !leader.network.isConnected(peer)
    if (!isAway || seen === undefined) return
    const record = seen.nodes.get(peer)
    if (record !== undefined && record.isOver !== true)
      this.#scene.problem(`${peer} is away for longer than its lease, and counts as there`)
    this.#counts.dismissed += 1
  }

  #until(what: () => string | undefined): Promise<void> {
    return this.#scene.until(what, { everyMs: LOOK_MS, mostMs: HEAL_MS, look: () => this.#look() })
  }

  #seen() {
    const machine = this.#mesh.leader()?.seat()?.machine
    return machine === undefined ? undefined : readAll(machine)
  }

  async #conclude(): Promise<void> {
    const { time } = this.#mesh
    this.#scene.tell('everything heals')
    await this.#nodes.killable.heal()
    // Whoever asks now is answered: no two wait for each other.
    await time.settled(this.#nodes.killable.answered(), HEAL_MS)
    this.#look()
    await this.#until(() => this.#whoIsWrong())
    for (const one of this.#nodes.all()) this.#giveAllBack(one)
    await time.settled(this.#nodes.killable.answered(), HEAL_MS)
    await this.#until(() => {
      const seen = this.#seen()
      if (seen === undefined) return 'nobody coordinates'
      const open = openOnes(seen)
      if (open.length > 0) return `stranded: ${open.join(', ')}`
      const all = this.#nodes.all()
      if (seen.nodes.size !== all.length) return `${seen.nodes.size} nodes are registered, ${all.length} are there`
      return undefined
    })
    await this.#again(() => this.#beDenied())
    await this.#again((tries) => this.#beNext(tries))
    // One whose lease ended while it was cut off comes back as another life of it, which ends what was granted before.
    for (let tries = 0; !(await this.#haveAll(`all-${tries}`)); tries += 1) {
      if (tries === MOST_TRIES) throw new Error('all of it cannot be had at once')
      await time.run(LEASE_MS)
    }
  }

  /** One whose lease is over comes back as another life of it, which ends what was asked for before, and may offer less. */
  async #again(what: (tries: number) => Promise<void>, tries = 0): Promise<void> {
    try {
      await what(tries)
    } catch (error) {
      const isOver = error === ANOTHER_LIFE || (isParleyError(error, 'STA003') && error.details.reason === 'ended')
      if (!isOver || tries === MOST_TRIES) throw error
      await this.#again(what, tries + 1)
    }
  }

  /** What cannot be had is denied in time, and says why. */
  async #beDenied(): Promise<void> {
    const [first] = this.#nodes.all()
    const asked = first?.resources.allocate({ units: { cpu: 1_000_000 }, timeoutMs: this.#scene.below(2) * 1_000 })
    if (asked === undefined) throw new Error('no node is there')
    try {
      await this.#mesh.time.settled(asked, HEAL_MS)
    } catch (error) {
      if (isParleyError(error, 'COM003') && error.details.why === 'no-such-capacity') return
      throw error
    }
    throw new Error('more was had than there is')
  }

  /** Holders and owners know of all that is allocated, and of nothing else. */
  #whoIsWrong(): string | undefined {
    const seen = this.#seen()
    if (seen === undefined) return 'nobody coordinates'
    for (const { node, held, claims } of this.#nodes.all()) {
      for (const id of held.keys())
        if (seen.allocations.get(id)?.status !== 'allocated') return `${node.name} has ${id}, which is over`
      for (const id of claims.keys())
        if (seen.allocations.get(id)?.status !== 'allocated') return `${node.name} gives ${id}, which is over`
      for (const [id, { status, places = [] }] of seen.allocations)
        if (status === 'allocated' && places.some(({ owner }) => owner === node.id) && !claims.has(id))
          return `${node.name} does not know that it gives ${id}`
    }
    return undefined
  }

  /** What is given back goes to who waits for it, although nothing else is decided. */
  async #beNext(tries: number): Promise<void> {
    const { time } = this.#mesh
    // One may stand still for another minute.
    const [first, second = first] = this.#nodes.all().filter(({ frozenUntil }) => time.now() > frozenUntil)
    const owner = [...(this.#seen()?.nodes ?? [])].find(([, { capacity }]) => amountOf(capacity, 'cpu') > 0)
    if (first === undefined || second === undefined || owner === undefined) throw new Error('no node is there')
    const parts = [{ owner: owner[0], units: owner[1].capacity }]
    const end = new AbortController()
    const ask = ({ resources }: ResourceNode, id: string) =>
      resources.allocate({ id: `${id}-${tries}`, parts, timeoutMs: 60_000, signal: end.signal })
    try {
      const held = await time.settled(ask(first, 'before'), HEAL_MS)
      const next = ask(second, 'next')
      next.catch(() => {})
      await time.run(LOOK_MS)
      await time.settled(held.release(), HEAL_MS)
      const given = await time.settled(next, NEXT_MS)
      await time.settled(given.release(), HEAL_MS)
    } catch (error) {
      end.abort()
      const isSame = this.#seen()?.nodes.get(owner[0])?.registration === owner[1].registration
      throw isSame ? error : ANOTHER_LIFE
    }
  }

  /** @returns whether it was had, and each of those that gave it knew */
  async #haveAll(id: string): Promise<boolean> {
    const { time } = this.#mesh
    const [first] = this.#nodes.all()
    if (first === undefined) throw new Error('no node is there')
    const parts = [...(this.#seen()?.nodes ?? [])]
      .filter(([, { capacity }]) => Object.keys(capacity).length > 0)
      .map(([owner, { capacity }]) => ({ owner, units: capacity }))
    const asked = first.resources.allocate({ id, parts, timeoutMs: 60_000 })
    const held = await time.settled(asked, HEAL_MS).catch((error: unknown) => {
      // Another life of one of them may have less.
      if (!isParleyError(error, 'COM003', 'STA003')) throw error
    })
    if (held === undefined) return false
    const owners = this.#nodes.all().filter(({ node }) => parts.some(({ owner }) => owner === node.id))
    const isKnown = (): boolean => owners.every(({ claims }) => claims.has(id))
    await this.#until(() => (isKnown() || held.signal.aborted ? undefined : `those who gave ${id} do not know of it`))
    const isHad = isKnown()
    await time.settled(held.release(), HEAL_MS)
    this.#look()
    return isHad
  }
}

export const runResourcesWorld = (options: SceneOptions): Promise<Record<string, number>> =>
  new ResourcesWorld(options).run(options.steps)
