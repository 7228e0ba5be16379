/**
 * A Port of the port network as one process has it: it calls itself, it serves a protocol once, it can be frozen as
 * SIGSTOP freezes a process, and after its end nothing of it runs.
 *
 * State: what came while it was frozen.
 */
import { type AnyProtocol, type Client, type Handlers, kindOf, wireId } from '../../protocols/define.ts'
import type { Port, Stop } from '../../protocols/port.ts'
import type { createVirtualCalls } from './virtual-calls.ts'
import type { VirtualTime } from './virtual-time.ts'

export interface Life {
  readonly port: Port
  /** Timers, handlers, answers and gossip wait until `thaw`; a periodic timer then fires once. */
  freeze(): void
  thaw(): void
  end(): void
}

type Method = (input: unknown, second: never) => unknown

export const createLife = (port: Port, loops: ReturnType<typeof createVirtualCalls>, time: VirtualTime): Life => {
  const { id } = port.self
  let isFrozen = false
  let isOver = false
  const held: (() => void)[] = []
  const served = new Set<string>()

  /** Runs it now, or once it is thawed. */
  const live = (fn: () => void): void => {
    if (isOver) return
    if (isFrozen) held.push(fn)
    else fn()
  }
  const thawed = (): Promise<void> => new Promise((resolve) => live(resolve))

  const loop = {
    id,
    isConnected: (peer: string) => peer === id,
    send: (_: string, __: Uint8Array, fn: () => void) => void time.after(0, () => void (isOver || fn())),
  }
  loops.join(loop)

  const once = (fn: () => void): (() => void) => {
    let isHeld = false
    return () => {
      if (isHeld) return
      isHeld = true
      live(() => {
        isHeld = false
        fn()
      })
    }
  }

  /** The same methods, each of which waits while this process is frozen. */
  const mapped = (
    protocol: AnyProtocol,
    methods: Record<string, Method>,
    unary: (method: Method) => Method,
    stream: (method: Method) => Method,
  ): Record<string, Method> =>
    Object.fromEntries(
      Object.entries(methods).map(([name, method]) => {
        const declared = protocol.methods[name]
        const isStream = declared !== undefined && kindOf(declared) === 'stream'
        return [name, isStream ? stream(method) : unary(method)]
      }),
    )

  const handling = (protocol: AnyProtocol, handlers: Record<string, Method>) =>
    mapped(
      protocol,
      handlers,
      (method) => async (input, context) => {
        await thawed()
        const result = await method(input, context)
        await thawed()
        return result
      },
      (method) =>
        async function* (input, context) {
          await thawed()
          for await (const item of method(input, context) as AsyncIterable<unknown>) {
            await thawed()
            yield item
          }
        },
    )
  const calling = (protocol: AnyProtocol, client: Record<string, Method>) =>
    mapped(
      protocol,
      client,
      (method) => async (input, options) => {
        try {
          return await method(input, options)
        } finally {
          await thawed()
        }
      },
      (method) =>
        async function* (input, options) {
          for await (const item of method(input, options) as AsyncIterable<unknown>) {
            await thawed()
            yield item
          }
        },
    )

  const timers: Port['timers'] = {
    after: (ms, fn) => {
      let isStopped = false
      const stop = port.timers.after(
        ms,
        once(() => void (isStopped || fn())),
      )
      return () => {
        isStopped = true
        stop()
      }
    },
    every: (ms, fn) => {
      let isStopped = false
      const stop: Stop = port.timers.every(
        ms,
        once(() => void (isStopped || fn())),
      )
      return () => {
        isStopped = true
        stop()
      }
    },
  }

  return {
    port: {
      ...port,
      timers,
      gossip: {
        ...port.gossip,
        subscribe: (topic, accept, deliver) =>
          port.gossip.subscribe(
            topic,
            async (bytes, from) => {
              await thawed()
              return accept(bytes, from)
            },
            (bytes) => live(() => deliver(bytes)),
          ),
      },
      onMember: (fn) => port.onMember((member, change, parted) => live(() => fn(member, change, parted))),
      async serve<P extends AnyProtocol>(protocol: P, handlers: Handlers<P>) {
        const name = wireId(protocol)
        if (served.has(name)) throw new Error(`${name} is served already`)
        served.add(name)
        const wrapped = handling(protocol, handlers as Record<string, Method>) as Handlers<P>
        const [unserve, unloop] = [await port.serve(protocol, wrapped), loops.serve(loop, protocol, wrapped)]
        return async () => {
          served.delete(name)
          await Promise.all([unserve(), unloop()])
        }
      },
      to<P extends AnyProtocol>(peer: string, protocol: P, defaults = {}) {
        const client = peer === id ? loops.to(loop, peer, protocol, defaults) : port.to(peer, protocol, defaults)
        return calling(protocol, client as unknown as Record<string, Method>) as unknown as Client<P>
      },
    },
    freeze() {
      isFrozen = true
    },
    thaw() {
      isFrozen = false
      for (const fn of held.splice(0)) live(fn)
    },
    end() {
      isOver = true
      held.length = 0
      loops.leave(id)
    },
  }
}
