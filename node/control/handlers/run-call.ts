/** A call by name, from its text to its results, for whoever is in the mesh: a node for its user, or a visitor. */
import { ParleyError } from '../../../protocols/errors.ts'
import { nearestName } from '../../../protocols/unknown-keys.ts'
import type { Mesh } from '../../api.ts'
import type { ByteCallOptions, CallAddress, Reply } from '../../calls/clients.ts'
import { createMethodCodecs } from '../../calls/method-codecs.ts'
import { internalsOf } from '../../lifecycle/mesh-internals.ts'
import { findCallTarget, parseCallTarget } from '../call-target.ts'
import { type CallLine, type CallRequest, faultOf, NO_AGENT } from '../control-schemas.ts'

/** Names that are told where one is not known. */
const MAX_NAMES = 20
/** Reports of progress that wait for a slow reader; the newest are kept. */
const MAX_REPORTS = 16

/** @throws STA001 */
export const findPeer = ({ directory }: Pick<Mesh, 'directory'>, nameOrId: string): string => {
  const agent = directory.find(nameOrId)
  if (agent !== undefined) return agent.peer
  const names = directory.agents().map(({ name }) => name)
  const guess = nearestName(nameOrId, names)
  const known = names.length === 0 ? 'nobody is in the mesh' : `there is ${names.slice(0, MAX_NAMES).join(', ')}`
  throw new ParleyError('STA001', `no agent is called ${JSON.stringify(nameOrId)}, and no peer has this id`, {
    hint: guess === undefined ? known : `did you mean ${guess}?`,
    details: { reason: NO_AGENT },
  })
}

const told = (reply: Reply<unknown>): CallLine => {
  const { peer, name } = reply
  return 'value' in reply
    ? { type: 'reply', peer, name, value: reply.value }
    : { type: 'reply', peer, name, error: faultOf(reply.error) }
}

/** What `work` gives, and what is reported while it is waited for. */
async function* withReports(
  work: (onProgress: NonNullable<ByteCallOptions['onProgress']>) => AsyncIterable<CallLine>,
): AsyncGenerator<CallLine, void, undefined> {
  const reports: CallLine[] = []
  let wake = (): void => {}
  const lines = work((report) => {
    if (reports.length >= MAX_REPORTS) reports.shift()
    reports.push({ type: 'progress', ...report })
    wake()
  })[Symbol.asyncIterator]()
  let ended: { readonly result: IteratorResult<CallLine> } | { readonly error: unknown } | undefined
  const fetch = (): void => {
    ended = undefined
    lines.next().then(
      (result) => {
        ended = { result }
        wake()
      },
      (error: unknown) => {
        ended = { error }
        wake()
      },
    )
  }
  try {
    fetch()
    for (;;) {
      const woken = new Promise<void>((resolve) => {
        wake = resolve
      })
      const report = reports.shift()
      if (report !== undefined) yield report
      else if (ended === undefined) await woken
      else if ('error' in ended) throw ended.error
      else if (ended.result.done === true) return
      else {
        const { value } = ended.result
        fetch()
        yield value
      }
    }
  } finally {
    await lines.return?.()
  }
}

/**
 * Whom a call goes to, and what it says.
 * @param mayBeSelf whether agents of this node itself may be called
 * @throws MSG001 for what cannot be used, STA001 and COM004 where there is nobody to call
 */
export const planCall = (mesh: Pick<Mesh, 'directory'>, request: CallRequest, mayBeSelf: boolean) => {
  const wanted = parseCallTarget(request.target)
  const address: CallAddress =
    request.all === true
      ? { kind: 'all', peers: undefined }
      : request.to === undefined
        ? { kind: 'any' }
        : { kind: 'peer', peer: findPeer(mesh, request.to) }
  const agents = mesh.directory
    .agents()
    .filter(({ peer, self }) => (mayBeSelf || !self) && (address.kind !== 'peer' || address.peer === peer))
  const { protocol, method, kind } = findCallTarget(agents, wanted)
  if (address.kind === 'all' && kind !== 'unary') {
    throw new ParleyError(
      'MSG001',
      `${protocol.name}.${method} gives no single answer: it is a method of kind ${kind}`,
      {
        hint: 'leave out --all',
      },
    )
  }
  const callable = createMethodCodecs()(protocol, method)
  return { address, kind, callable, payload: callable.codec.encode(request.input), name: `${protocol.name}.${method}` }
}

/** @throws as `planCall`, and what the call throws */
export const runCall = (
  mesh: Mesh,
  request: CallRequest,
  { signal, mayBeSelf }: { signal: AbortSignal; mayBeSelf: boolean },
): AsyncIterable<CallLine> => {
  const { address, kind, callable, payload } = planCall(mesh, request, mayBeSelf)
  const base: ByteCallOptions = { signal, ...(request.timeoutMs !== undefined && { timeoutMs: request.timeoutMs }) }

  return withReports(async function* (onProgress) {
    const options = { ...base, onProgress }
    if (address.kind === 'all') {
      for await (const reply of internalsOf(mesh).calls.all(address, callable, payload, options)) yield told(reply)
    } else if (kind === 'stream') {
      for await (const value of internalsOf(mesh).calls.stream(address, callable, payload, options))
        yield { type: 'item', value }
    } else {
      const value = await internalsOf(mesh).calls.one(address, callable, payload, options)
      if (kind === 'unary') yield { type: 'value', value }
    }
  })
}
