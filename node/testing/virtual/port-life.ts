/**
 * A Port of the port network as one process has it: it calls itself, it serves a protocol once, it can be frozen as
 * SIGSTOP freezes a process, and after its end nothing of it runs.
 *
 * State: what came while it was frozen.
 */
import { type AnyProtocol, type Client, type Handlers, kindOf, wireId } from '../../../protocols/define.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import type { Port, Stop } from '../../../protocols/port.ts'
import { ClientCache } from './client-cache.ts'
import type { CallNode, VirtualCalls } from './virtual-calls.ts'
import type { VirtualTime } from './virtual-time.ts'

export interface Life {
  readonly port: Port
  /** Timers, handlers, answers and gossip wait until `thaw`; a periodic timer then fires once. */
  freeze(): void
  thaw(): void
  end(): void
}

type Method = (input: unknown, second: never) => unknown

/** The same methods, each one wrapped by its kind. */
const mapped = (
  protocol: AnyProtocol,
  methods: Record<string, Method>,
  unary: (method: Method) => Method,
  stream: (method: Method) => Method,
): Record<string, Method> => {
  const wrapped = Object.entries(methods).map(([name, method]) => {
    const declared = protocol.methods[name]
    const isStream = declared !== undefined && kindOf(declared) === 'stream'
    return [name, isStream ? stream(method) : unary(method)]
  })
  return Object.fromEntries(wrapped)
}

/** What is to happen waits here while the process is frozen. */
class Gate {
  #isFrozen = false
  #isOver = false
  readonly #held: (() => void)[] = []

  isOver(): boolean {
    return this.#isOver
  }

  freeze(): void {
    this.#isFrozen = true
  }

  thaw(): void {
    this.#isFrozen = false
    for (const fn of this.#held.splice(0)) this.run(fn)
  }

  end(): void {
    this.#isOver = true
    this.#held.length = 0
  }

  /** Runs it now, or once it is thawed. */
  run(fn: () => void): void {
    if (this.#isOver) return
    if (this.#isFrozen) this.#held.push(fn)
    else fn()
  }

  #isStill(): boolean {
    return this.#isFrozen || this.#isOver
  }

  thawed(): Promise<void> {
    return new Promise((resolve) => this.run(resolve))
  }

  /** What comes again while it waits runs once. */
  once(fn: () => void): () => void {
    let isHeld = false
    return () => {
      if (isHeld) return
      isHeld = true
      this.run(() => {
        isHeld = false
        fn()
      })
    }
  }

  handling(protocol: AnyProtocol, handlers: Record<string, Method>): Record<string, Method> {
    return mapped(
      protocol,
      handlers,
      (method) => async (input, context) => {
        if (this.#isStill()) await this.thawed()
        const result = await method(input, context)
        if (this.#isStill()) await this.thawed()
        return result
      },
      (method) => {
        const thawed = (): Promise<void> => this.thawed()
        return async function* (input, context) {
          await thawed()
          for await (const item of method(input, context) as AsyncIterable<unknown>) {
            await thawed()
            yield item
          }
        }
      },
    )
  }

  calling(protocol: AnyProtocol, client: Record<string, Method>): Record<string, Method> {
    return mapped(
      protocol,
      client,
      (method) => async (input, options) => {
        try {
          return await method(input, options)
        } finally {
          if (this.#isStill()) await this.thawed()
        }
      },
      (method) => {
        const thawed = (): Promise<void> => this.thawed()
        return async function* (input, options) {
          for await (const item of method(input, options) as AsyncIterable<unknown>) {
            await thawed()
            yield item
          }
        }
      },
    )
  }

  timers(timers: Port['timers']): Port['timers'] {
    const start = (begin: (fn: () => void) => Stop, fn: () => void): Stop => {
      let isStopped = false
      const stop = begin(this.once(() => void (isStopped || fn())))
      return () => {
        isStopped = true
        stop()
      }
    }
    return {
      after: (ms, fn) => start((due) => timers.after(ms, due), fn),
      every: (ms, fn) => start((due) => timers.every(ms, due), fn),
    }
  }
}

export const createLife = (port: Port, loops: VirtualCalls, time: VirtualTime): Life => {
  const { id } = port.self
  const gate = new Gate()
  const served = new Set<string>()
  const clients = new ClientCache()
  const loop: CallNode = {
    id,
    isConnected: (peer) => peer === id,
    send: (_, __, fn) => void time.after(0, () => void (gate.isOver() || fn())),
  }
  loops.join(loop)

  return {
    port: {
      ...port,
      timers: gate.timers(port.timers),
      gossip: {
        ...port.gossip,
        subscribe: (topic, accept, deliver) =>
          port.gossip.subscribe(
            topic,
            async (bytes, from) => {
              await gate.thawed()
              return accept(bytes, from)
            },
            (bytes) => gate.run(() => deliver(bytes)),
          ),
      },
      onMember: (fn) => port.onMember((member, change, parted) => gate.run(() => fn(member, change, parted))),
      async serve<P extends AnyProtocol>(protocol: P, handlers: Handlers<P>) {
        const name = wireId(protocol)
        if (served.has(name))
          throw new ParleyError('STA003', `${name} is served already`, {
            hint: 'stop serving it first (serve() returns a function that does), or give the protocol another name',
            details: { reason: 'in-use' },
          })
        served.add(name)
        const wrapped = gate.handling(protocol, handlers as Record<string, Method>) as Handlers<P>
        const [unserve, unloop] = [await port.serve(protocol, wrapped), loops.serve(loop, protocol, wrapped)]
        return async () => {
          served.delete(name)
          await Promise.all([unserve(), unloop()])
        }
      },
      to<P extends AnyProtocol>(peer: string, protocol: P, defaults = {}) {
        return clients.get(peer, protocol, defaults, () => {
          const client = peer === id ? loops.to(loop, peer, protocol, defaults) : port.to(peer, protocol, defaults)
          return gate.calling(protocol, client as unknown as Record<string, Method>) as unknown as Client<P>
        })
      },
    },
    freeze() {
      gate.freeze()
    },
    thaw() {
      gate.thaw()
    },
    end() {
      gate.end()
      loops.leave(id)
    },
  }
}
