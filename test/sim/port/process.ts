/**
 * A process as it really is: its disk takes its time, it may stand still for seconds, and what it sends may be lost, late,
 * doubled, or cut off in one direction. Wraps a Port and a disk; what is behind them notices nothing.
 *
 * State: until when it stands still, how slow its disk is.
 */
import type { Disk, DiskFile } from '../../../node/store/files/disk.ts'
import type { VirtualTime } from '../../../node/testing/virtual/virtual-time.ts'
import { type AnyProtocol, type CallOptions, type Client, type Handlers, kindOf } from '../../../protocols/define.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import type { Port } from '../../../protocols/port.ts'

export interface Wires {
  dropRate: number
  doubleRate: number
  /** Share of messages that take up to `lateMs` longer, and are overtaken. */
  lateRate: number
  lateMs: number
  /** Share of streams that break off. */
  breakRate: number
  /** `from>to`, peer ids. */
  readonly cuts: Set<string>
  readonly counts: { lost: number; doubled: number }
}

export interface Process {
  readonly port: Port
  readonly disk: Disk
  frozenUntil: number
  /** Milliseconds that a sync takes, least and most. */
  syncMs: readonly [number, number]
}

export type FileChange = 'begun' | 'removed'

type Erased = (input: unknown, options?: unknown) => unknown

const severed = (peer: string): ParleyError => new ParleyError('COM002', `nothing comes from ${peer} any more`)

/**
 * @param onSaid hears each one-way message that leaves, lost or not
 * @param onFile hears of each file that is begun, with nothing in it yet, or removed
 */
export const createProcess = (
  inner: Port,
  mount: Disk,
  time: VirtualTime,
  random: () => number,
  wires: Wires,
  onSaid: (input: unknown) => void,
  onFile: (change: FileChange, file: string) => void = () => {},
): Process => {
  const chance = (share: number): boolean => random() < share
  const sleep = (ms: number): Promise<void> => new Promise((resolve) => time.after(ms, resolve))
  /** Whatever is to happen next waits until the process runs again. */
  const awake = async (): Promise<void> => {
    while (process.frozenUntil > time.now()) await sleep(process.frozenUntil - time.now())
  }
  const whenAwake = (fn: () => void): void => {
    if (process.frozenUntil > time.now()) time.after(process.frozenUntil - time.now(), () => whenAwake(fn))
    else fn()
  }

  const timers: Port['timers'] = {
    after(delayMs, fn) {
      let isOver = false
      const stop = inner.timers.after(delayMs, () => whenAwake(() => isOver || fn()))
      return () => {
        isOver = true
        stop()
      }
    },
    every(periodMs, fn) {
      let isOver = false
      let isDue = false
      // Ticks that were missed come once.
      const stop = inner.timers.every(periodMs, () => {
        if (isDue) return
        isDue = true
        whenAwake(() => {
          isDue = false
          if (!isOver) fn()
        })
      })
      return () => {
        isOver = true
        stop()
      }
    },
  }

  const sendOneWay = async (peer: string, call: () => Promise<unknown>): Promise<void> => {
    if (wires.cuts.has(`${inner.self.id}>${peer}`) || chance(wires.dropRate)) {
      wires.counts.lost += 1
      return
    }
    if (chance(wires.doubleRate)) {
      wires.counts.doubled += 1
      time.after(random() * wires.lateMs, () => void call().catch(() => {}))
    }
    if (chance(wires.lateRate)) time.after(random() * wires.lateMs, () => void call().catch(() => {}))
    else await call()
  }
  async function* receive(peer: string, items: AsyncIterable<unknown>): AsyncGenerator<unknown> {
    const isSevered = (): boolean =>
      wires.cuts.has(`${peer}>${inner.self.id}`) ||
      wires.cuts.has(`${inner.self.id}>${peer}`) ||
      chance(wires.breakRate)
    if (isSevered()) throw severed(peer)
    for await (const item of items) {
      await awake()
      if (isSevered()) throw severed(peer)
      yield item
    }
  }
  const to = <P extends AnyProtocol>(peer: string, protocol: P, defaults?: CallOptions): Client<P> => {
    const client = inner.to(peer, protocol, defaults) as Record<string, Erased>
    const wrapped = Object.entries(protocol.methods).map(([name, method]): [string, Erased] => {
      const call: Erased = (input, options) => client[name]?.(input, options)
      const kind = kindOf(method)
      if (kind === 'one-way')
        return [
          name,
          (input) => {
            onSaid(input)
            return sendOneWay(peer, async () => call(input))
          },
        ]
      if (kind === 'stream') return [name, (input) => receive(peer, call(input) as AsyncIterable<unknown>)]
      return [name, call]
    })
    // One function per method of the contract, by construction.
    return Object.fromEntries(wrapped) as Client<P>
  }

  const serve = <P extends AnyProtocol>(protocol: P, handlers: Handlers<P>): Promise<() => Promise<void>> => {
    const wrapped = Object.entries(handlers as Record<string, Erased>).map(([name, handler]): [string, Erased] => {
      const method = protocol.methods[name]
      if (method === undefined || kindOf(method) !== 'stream')
        return [name, async (input, context) => awake().then(() => handler(input, context))]
      return [
        name,
        async function* (input, context) {
          await awake()
          for await (const item of handler(input, context) as AsyncIterable<unknown>) {
            await awake()
            yield item
          }
        },
      ]
    })
    // One handler per method of the contract, by construction.
    return inner.serve(protocol, Object.fromEntries(wrapped) as Handlers<P>)
  }

  const onMember: Port['onMember'] = (fn) =>
    inner.onMember((member, change, parted) => whenAwake(() => fn(member, change, parted)))

  const takes = async (range: readonly [number, number]): Promise<void> => {
    await sleep(range[0] + random() * (range[1] - range[0]))
    await awake()
  }
  const fileOf = (file: DiskFile): DiskFile => ({
    ...file,
    // In the page cache at once, on the disk after a while: in between the power may go.
    async sync() {
      await takes(process.syncMs)
      return file.sync()
    },
  })
  const disk: Disk = {
    ...mount,
    async create(name) {
      await takes(process.syncMs)
      const file = await mount.create(name)
      onFile('begun', name)
      return fileOf(file)
    },
    open: async (name) => fileOf(await mount.open(name)),
    async remove(name) {
      await mount.remove(name)
      onFile('removed', name)
    },
    async syncNames() {
      await takes(process.syncMs)
      return mount.syncNames()
    },
  }

  const process: Process = { port: { ...inner, timers, to, serve, onMember }, disk, frozenUntil: 0, syncMs: [0.2, 3] }
  return process
}
