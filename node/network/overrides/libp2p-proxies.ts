/** What upstream's parts of libp2p are given in place of libp2p's own objects. Pure. */
import type { Connection, Stream, StreamHandler } from '@libp2p/interface'
import type { StreamGater } from '../../trust/stream-gater.ts'

/** The same object, with some members of its own. */
export const withOverrides = <T extends object>(target: T, own: Partial<Record<keyof T, unknown>>): T =>
  new Proxy(target, {
    get(real, key) {
      if (Object.hasOwn(own, key)) return Reflect.get(own, key)
      const value = Reflect.get(real, key, real)
      return typeof value === 'function' ? value.bind(real) : value
    },
  })

/** The handler behind the gate; a stream at which it fails is broken off, as libp2p itself would do. */
export const behindGater =
  (gate: Pick<StreamGater, 'hold'>, handler: StreamHandler) =>
  (stream: Stream, connection: Connection): void =>
    gate.hold(stream, connection, () => {
      const run = async (): Promise<void> => handler(stream, connection)
      run().catch((error: Error) => stream.abort(error))
    })
