/** A Port whose greetings lose their answers now and then, and which tells what leaves. Keeps no state. */
import { type AnyProtocol, type CallOptions, type Client, kindOf } from '../../../protocols/define.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import type { Port } from '../../../protocols/port.ts'
import type { Wires } from '../port/process.ts'

type Erased = (input: unknown, options?: unknown) => unknown

/** Answers to greetings get lost, too. @param plain the Port without faults of its own */
export const lossyPort = (
  port: Port,
  plain: Port,
  wires: Wires,
  random: () => number,
  said: (peer: string, method: string, input: unknown) => void,
): Port => ({
  ...port,
  to<P extends AnyProtocol>(peer: string, protocol: P, defaults?: CallOptions): Client<P> {
    const client = port.to(peer, protocol, defaults) as Record<string, Erased>
    const once = plain.to(peer, protocol, defaults) as Record<string, Erased>
    const wrapped = Object.entries(protocol.methods).map(([name, method]): [string, Erased] => {
      const call: Erased = (input, options) => {
        said(peer, name, input)
        return client[name]?.(input, options)
      }
      // No wire doubles what is sent at most once.
      if (name === 'fire') return [name, (input, options) => once[name]?.(input, options)]
      if (kindOf(method) !== 'unary') return [name, call]
      return [
        name,
        async (input, options) => {
          const answer = await call(input, options)
          if (wires.breakRate > 0 && random() < wires.breakRate)
            throw new ParleyError('COM002', `the answer of ${peer} is lost`)
          return answer
        },
      ]
    })
    // One function per method of the contract, by construction.
    return Object.fromEntries(wrapped) as Client<P>
  },
})
