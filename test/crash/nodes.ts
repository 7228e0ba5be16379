/**
 * The nodes of a crash run, as its driver has them: each a process with a data directory and a port that it keeps from
 * life to life. Killed, frozen, told to stop, started again. State: the process of each node.
 */
import { createServer } from 'node:net'
import { pathToFileURL } from 'node:url'
import type { MeshOptionsInput } from '../../node/index.ts'
import { type Child, forkChild } from '../soak/child.ts'
import { programOf } from '../support/program.ts'
import type { NodeVerbs, Refusal, StartOrder } from './messages.ts'

const PROGRAM = pathToFileURL(programOf('test/crash/node-process.ts')).href
/** Below those that the system gives to connections, so that nobody takes a port while its node is away. */
const FIRST_PORT = 20_000
const PORTS = 10_000

/** Whether it is free on loopback. */
const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })

export const freePorts = async (count: number): Promise<number[]> => {
  const ports: number[] = []
  const from = Math.floor(Math.random() * PORTS)
  for (let i = 0; i < PORTS && ports.length < count; i += 1) {
    const port = FIRST_PORT + ((from + i) % PORTS)
    if (await isFree(port)) ports.push(port)
  }
  return ports
}

/** A node that would not start. */
export class StartRefused extends Error {
  override readonly name = 'StartRefused'
  readonly refusal: Refusal
  constructor(node: string, refusal: Refusal) {
    super(`${node} did not start: ${refusal.code} ${refusal.message} (${refusal.hint})`)
    this.refusal = refusal
  }
}

export interface CrashNode {
  readonly name: string
  readonly dataDir: string
  readonly logFile: string
  /** Peer id; empty before the first start. */
  readonly id: string
  /** It runs, and answers. */
  readonly isThere: boolean
  readonly ask: Child<NodeVerbs>['ask']
  /** @throws StartRefused */
  start(): Promise<void>
  /** SIGKILL; resolves once it is gone. */
  kill(): Promise<void>
  /** SIGTERM; resolves once it is gone, with how it ended and the milliseconds that it took. */
  terminate(): Promise<{ readonly how: number | NodeJS.Signals; readonly ms: number }>
  /** SIGSTOP: it keeps its sockets and does nothing. */
  freeze(): void
  thaw(): void
  /** Its event loop does nothing else for this long. */
  block(ms: number): Promise<void>
}

export interface NodePlan extends Omit<StartOrder, 'options'> {
  readonly name: string
  readonly dataDir: string
  readonly options: MeshOptionsInput
}

export const createNode = ({ name, dataDir, ...plan }: NodePlan): CrashNode => {
  let child: Child<NodeVerbs> | undefined
  let id = ''
  let isThere = false
  const current = (): Child<NodeVerbs> => {
    if (child === undefined) throw new Error(`${name} does not run`)
    return child
  }
  const over = async (process: Child<NodeVerbs>): Promise<number | NodeJS.Signals> => {
    isThere = false
    const how = await process.ended
    if (child === process) child = undefined
    return how
  }
  return {
    name,
    dataDir,
    logFile: plan.logFile,
    get id() {
      return id
    },
    get isThere() {
      return isThere
    },
    ask: async (verb, ...input) => current().ask(verb, ...input),
    async start() {
      const process = forkChild<NodeVerbs>(PROGRAM, () => {})
      child = process
      const { options, ...rest } = plan
      const started = await process.ask('start', { ...rest, options: { ...options, name, dataDir } })
      if ('refusal' in started) {
        await process.kill()
        await over(process)
        throw new StartRefused(name, started.refusal)
      }
      id = started.id
      isThere = true
    },
    async kill() {
      const process = current()
      isThere = false
      await process.kill()
      await over(process)
    },
    async terminate() {
      const told = current()
      const at = performance.now()
      isThere = false
      process.kill(told.pid, 'SIGTERM')
      return { how: await over(told), ms: performance.now() - at }
    },
    freeze() {
      isThere = false
      process.kill(current().pid, 'SIGSTOP')
    },
    thaw() {
      process.kill(current().pid, 'SIGCONT')
      isThere = true
    },
    async block(ms) {
      isThere = false
      await current().ask('block', ms)
      isThere = true
    },
  }
}

/** Starts it. @returns why it would not; undefined where it did */
export const refusalOf = async (node: Pick<CrashNode, 'start'>): Promise<Refusal | undefined> => {
  try {
    await node.start()
    return undefined
  } catch (error) {
    if (error instanceof StartRefused) return error.refusal
    throw error
  }
}
