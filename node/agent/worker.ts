/**
 * The worker thread of an agent: loads its module, offers what it serves, runs requests.
 *
 * This file is run, not imported. State: the agent's definition once it is loaded. What goes wrong before it has started
 * is reported to the node, which ends the thread; what goes wrong later and is caught by nobody ends the thread by itself.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { describe } from '../../discovery/directory/record/describe-protocol.ts'
import { isParleyError, ParleyError } from '../../protocols/errors.ts'
import type { MethodFacts } from '../../protocols/wire/payload/contract.ts'
import { createClients } from '../calls/clients.ts'
import { createMethodCodecs } from '../calls/method-codecs.ts'
import { BEAT_MS } from '../parts/stuck-detection.ts'
import type { ChannelMessage } from './channel/channel-message.ts'
import { ThreadChannel } from './channel/thread-channel.ts'
import type { OfferFacts, RequestToAgent, RequestToNode, WorkerStartData } from './channel/thread-requests.ts'
import { toTransferableError } from './channel/transferable.ts'
import type { AgentDefinition, AgentPort, Offer } from './define-agent.ts'
import { createAgentCalls } from './worker-side/agent-calls.ts'
import { createAgentEvents } from './worker-side/agent-events.ts'
import { createAgentLog } from './worker-side/agent-log.ts'
import { createAgentRequestHandler } from './worker-side/agent-request-handler.ts'
import { loadAgent } from './worker-side/load-agent.ts'

/** Exchanges that the agent may have open with its node, and the bytes of their requests. */
const MAX_OPEN = 10_000
const MAX_BYTES = 64 * 1024 * 1024

const factsOf = ({ protocol, served }: Offer): OfferFacts => ({
  name: served.name,
  version: served.version,
  methods: [...served.methods.values()].map(({ run: _, values: __, ...facts }): MethodFacts => facts),
  record: describe(protocol),
})

/** What the node requested, as it stands in its log. */
const labelOf = (definition: AgentDefinition | undefined, body: unknown): string => {
  const request = body as RequestToAgent
  return request.what === 'run' ? `${definition?.offers[request.offer]?.served.name}.${request.method}` : 'stop()'
}

const startFailure = (error: unknown, file: string): ParleyError =>
  isParleyError(error)
    ? error
    : new ParleyError('APP001', `the agent ${file} failed to start: ${String(error)}`, {
        hint: 'its own code threw this; the log of the node has the stack',
        cause: error,
      })

/** What Node remarks on how it reads a module: nothing that the agent's author, or who starts it, has to do something about. */
const isRemark = ({ name, message, code }: Error & { code?: unknown }): boolean =>
  code === 'MODULE_TYPELESS_PACKAGE_JSON' || (name === 'ExperimentalWarning' && message.startsWith('Type Stripping'))

/** All other warnings go on to where they went. */
const dropRemarks = (): void => {
  const before = process.listeners('warning')
  process.removeAllListeners('warning')
  process.on('warning', (warning) => {
    if (!isRemark(warning)) for (const listener of before) listener.call(process, warning)
  })
}

const run = async (port: NonNullable<typeof parentPort>, { file, self, beats }: WorkerStartData): Promise<void> => {
  dropRemarks()
  const beatCount = new Int32Array(beats)
  setInterval(() => Atomics.add(beatCount, 0, 1), BEAT_MS).unref()
  let definition: AgentDefinition | undefined
  const log = createAgentLog(() => channel)
  const channel: ThreadChannel = new ThreadChannel({
    post: (message, transfer) => port.postMessage(message, transfer),
    handle: createAgentRequestHandler(
      () => definition?.offers ?? [],
      async () => {
        await definition?.stop?.()
      },
    ),
    onUnexpected: (error, body) => log.error(`${labelOf(definition, body)} failed`, { error, agent: file }),
    unexpectedText: 'the handler failed',
    maxOpen: MAX_OPEN,
    maxBytes: MAX_BYTES,
    otherSide: 'the node',
  })
  port.on('message', (message: ChannelMessage) => channel.receive(message))
  const request = (body: RequestToNode): Promise<unknown> => channel.request(body)

  const agent: AgentPort = {
    ...createClients(createAgentCalls(channel), createMethodCodecs()),
    self,
    events: createAgentEvents(channel, log),
    log,
    // The node answers both with what its own functions return.
    members: () => request({ what: 'members' }) as ReturnType<AgentPort['members']>,
    agents: () => request({ what: 'agents' }) as ReturnType<AgentPort['agents']>,
  }
  try {
    definition = await loadAgent(file, agent)
    await request({ what: 'offered', offers: definition.offers.map(factsOf) })
    await definition.start?.(agent)
    await request({ what: 'started' })
  } catch (error) {
    if (!isParleyError(error)) log.error('the agent failed to start', { error, agent: file })
    await request({ what: 'failed', failure: toTransferableError(startFailure(error, file), '') })
  }
}

if (parentPort !== null) await run(parentPort, workerData)
