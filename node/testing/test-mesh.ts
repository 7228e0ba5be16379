/**
 * A mesh for tests: several nodes in one process, over a seeded virtual network with virtual time. Nodes can be cut off from
 * each other, crash, and come back with their disk; messages can be late or lost. The same seed gives the same run.
 *
 * State: the network, the nodes that run, and for each name its disk and its options, which outlive the node.
 */
import { ParleyError } from '../../protocols/errors.ts'
import { type RunningNode, startTestNode, type TestNode, type TestNodeOptions } from './test-node.ts'
import { createPortNetwork } from './virtual/port-network.ts'
import { createRowsDisk, type RowsDisk } from './virtual/rows-disk.ts'
import { VirtualCalls } from './virtual/virtual-calls.ts'

const MAX_NODES = 256
const START_MS = 60_000
const WITHIN_MS = 60_000
const DAY_MS = 86_400_000

export interface TestMeshOptions {
  /** Same seed, same run: a whole number, 1 unless told. */
  readonly seed?: number
  /** Milliseconds of one way, least and most; 1 to 5 unless told. */
  readonly latencyMs?: readonly [number, number]
}

interface Known {
  readonly disk: RowsDisk
  readonly options: TestNodeOptions
  running: RunningNode | undefined
}

const unusable = (message: string, hint: string): ParleyError => new ParleyError('MSG001', message, { hint })

const checkShare = (share: number): void => {
  if (!(share >= 0 && share <= 1)) throw unusable(`a loss of ${share} is no share`, 'give a number from 0 to 1')
}
const checkLatency = ([least, most]: readonly [number, number]): void => {
  if (!(least >= 0 && most >= least && most <= DAY_MS))
    throw unusable(`${least} to ${most} ms is no delay`, 'give the least and the most milliseconds of one way')
}

export class TestMesh {
  readonly seed: number
  readonly #network: ReturnType<typeof createPortNetwork>
  readonly #loops: VirtualCalls
  readonly #nodes = new Map<string, Known>()
  /** Pairs of names that are not connected, `a b`. */
  readonly #cut = new Set<string>()

  /** @throws MSG001 for a seed or a latency that cannot be used */
  constructor({ seed = 1, latencyMs = [1, 5] }: TestMeshOptions = {}) {
    if (!Number.isSafeInteger(seed)) throw unusable(`${seed} is no seed`, 'give a whole number')
    checkLatency(latencyMs)
    this.seed = seed
    this.#network = createPortNetwork({ seed, latencyMs })
    this.#loops = new VirtualCalls(this.#network.time)
  }

  /** Virtual milliseconds since the mesh was made. */
  now(): number {
    return this.#network.time.now()
  }

  /** What was sent so far. */
  traffic(): { readonly messages: number; readonly bytes: number; readonly lost: number } {
    return { ...this.#network.traffic }
  }

  /**
   * Starts a node, connected to all others from which it is not cut off. Virtual time passes meanwhile.
   * @throws MSG001 for a name that runs or is known: use `restart`; COM003 for more than 256 nodes; what a part throws
   */
  async node(name: string, options: TestNodeOptions = {}): Promise<TestNode> {
    if (this.#nodes.has(name))
      throw unusable(`there is a node ${name} already`, 'crash it, then restart it by its name')
    if (this.#nodes.size >= MAX_NODES)
      throw new ParleyError('COM003', `${MAX_NODES} nodes are here already`, { hint: 'use fewer nodes in one test' })
    const known: Known = { disk: createRowsDisk(this.#network.random), options, running: undefined }
    this.#nodes.set(name, known)
    return this.#start(name, known)
  }

  /** Starts a node again that crashed or stopped, with its disk and the options that it had. @throws MSG001 for a name that was never started or is running */
  async restart(name: string): Promise<TestNode> {
    const known = this.#nodes.get(name)
    if (known === undefined) throw unusable(`there was no node ${name}`, 'start it by mesh.node() first')
    if (known.running !== undefined) throw unusable(`${name} is running`, 'crash or stop it first')
    return this.#start(name, known)
  }

  /** As SIGKILL does: nothing is said, what was not written is lost, the disk stays. */
  crash(node: TestNode): void {
    const known = this.#nodes.get(node.self.name)
    known?.running?.kill()
    if (known !== undefined) known.running = undefined
  }

  /** Says goodbye and ends; virtual time passes meanwhile. */
  async stop(node: TestNode): Promise<void> {
    const known = this.#nodes.get(node.self.name)
    if (known?.running === undefined) return
    await this.settled(known.running.stop(), START_MS)
    known.running = undefined
  }

  /** The connections between nodes of both sides break, and there are none until `heal`. */
  partition(one: readonly TestNode[], other: readonly TestNode[]): void {
    for (const a of one) for (const b of other) this.#cut.add(`${a.self.name} ${b.self.name}`)
    for (const [a, b] of this.#pairs()) if (this.#isCut(a, b)) this.#network.disconnect(a.port.self, b.port.self)
  }

  /** All are connected again. */
  heal(): void {
    this.#cut.clear()
    for (const [a, b] of this.#pairs()) this.#network.connect(a.port.self, b.port.self)
  }

  /** Share of gossip hops and one-way calls that are lost from now on, 0 to 1. Calls with an answer arrive, as over TCP. */
  loss(share: number): void {
    checkShare(share)
    this.#network.faults.gossipLoss = share
    this.#network.faults.loss = share
  }

  /** Milliseconds of one way from now on. */
  delay(leastMs: number, mostMs = leastMs): void {
    checkLatency([leastMs, mostMs])
    this.#network.faults.latencyMs = [leastMs, mostMs]
  }

  /**
   * Lets virtual time pass, milliseconds. Between two steps every promise reaction that can run has run.
   * @throws MSG001 for less than 0 or more than a day; COM003 when 100,000 timers ran and time did not move on
   */
  async run(ms: number): Promise<void> {
    if (!(ms >= 0 && ms <= DAY_MS)) throw unusable(`${ms} ms cannot be run`, `run 0 to ${DAY_MS} ms at once`)
    await this.#network.time.run(ms)
  }

  /**
   * Lets time pass until the condition holds.
   * @returns the virtual milliseconds that it took
   * @throws COM001 after `withinMs` (60,000 unless told), with what was waited for and the seed; COM003 as `run`
   */
  async until(condition: () => boolean, { withinMs = WITHIN_MS, what = String(condition) } = {}): Promise<number> {
    const since = this.now()
    let holds = false
    const look = (): boolean => {
      holds ||= condition()
      return holds
    }
    await this.#network.time.until(() => look() || this.now() >= since + withinMs, withinMs)
    if (look()) return this.now() - since
    throw new ParleyError(
      'COM001',
      `did not happen within ${withinMs} virtual ms with the seed ${this.seed}: ${what}`,
      {
        hint: 'run the test again with this seed; give it more time with withinMs',
        details: { seed: this.seed, atMs: this.now() },
      },
    )
  }

  /** Lets time pass until the promise settles. @throws what it was rejected with; COM001 as `until` */
  async settled<T>(promise: Promise<T>, withinMs = WITHIN_MS): Promise<T> {
    let isSettled = false
    const mark = (): void => {
      isSettled = true
    }
    promise.then(mark, mark)
    await this.until(() => isSettled, { withinMs, what: 'a promise that was given to settled()' })
    return promise
  }

  /** Ends all nodes at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const known of this.#nodes.values()) {
      known.running?.kill()
      known.running = undefined
    }
  }

  async #start(name: string, known: Known): Promise<TestNode> {
    const ground = { network: this.#network, loops: this.#loops, disk: known.disk }
    const starting = startTestNode(ground, name, known.options, (inner) => {
      for (const [other, { running }] of this.#nodes)
        if (running !== undefined && !this.#areCut(name, other)) this.#network.connect(inner, running.node.self)
    })
    known.running = await this.settled(starting, START_MS)
    return known.running.node
  }

  #pairs(): [TestNode, TestNode][] {
    const up = [...this.#nodes.values()].flatMap(({ running }) => running?.node ?? [])
    return up.flatMap((a, i) => up.slice(i + 1).map((b): [TestNode, TestNode] => [a, b]))
  }

  #isCut(a: TestNode, b: TestNode): boolean {
    return this.#areCut(a.self.name, b.self.name)
  }

  #areCut(a: string, b: string): boolean {
    return this.#cut.has(`${a} ${b}`) || this.#cut.has(`${b} ${a}`)
  }
}
