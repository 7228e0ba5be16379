/**
 * Methods of contracts, ready to be called: codecs are made once per contract.
 *
 * State: a weak cache, so a contract that nobody holds any more takes its codecs with it.
 */
import { type AnyProtocol, majorOf, wireId } from '../../protocols/define.ts'
import { ParleyError } from '../../protocols/errors.ts'
import { type CallerCodec, callerCodec } from '../../protocols/wire/payload/contract.ts'
import type { CborFallback } from '../../protocols/wire/payload/payload-recovery.ts'

export interface MethodCodec {
  readonly codec: CallerCodec
  readonly protocol: string
  readonly major: number
  readonly protocolId: string
  readonly version: string
}

export type MethodCodecOf = (protocol: AnyProtocol, method: string) => MethodCodec

/**
 * @param timeoutMs of methods that do not say, asked at each call
 * @param rewritten told of inputs that JSON cannot hold, by `<protocol>.<method>`
 */
export const createMethodCodecs = (
  timeoutMs?: () => number,
  rewritten?: (label: string, rewriting: CborFallback) => void,
): MethodCodecOf => {
  const known = new WeakMap<AnyProtocol, Map<string, MethodCodec>>()
  const make = (protocol: AnyProtocol): Map<string, MethodCodec> => {
    const common = {
      protocol: protocol.name,
      major: majorOf(protocol.version),
      protocolId: wireId(protocol),
      version: protocol.version,
    }
    return new Map(
      Object.entries(protocol.methods).map(([name, method]) => [
        name,
        { ...common, codec: callerCodec(protocol, name, method, timeoutMs, rewritten) },
      ]),
    )
  }
  return (protocol, method) => {
    let callables = known.get(protocol)
    if (callables === undefined) {
      callables = make(protocol)
      known.set(protocol, callables)
    }
    const found = callables.get(method)
    if (found !== undefined) return found
    throw new ParleyError('MSG004', `${protocol.name} has no method ${method}`, { hint: 'see its contract' })
  }
}
