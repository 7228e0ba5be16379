/** `parley send`: a durable message, kept by a running node until it was processed. */

import type * as z from 'zod'
import { ParleyError } from '../../../../protocols/errors.ts'
import { type SendSchema, SentSchema } from '../../../control/control-schemas.ts'
import { escapeText } from '../../../observe/log/log-fields.ts'
import { findControlledNode } from '../../connect/node-endpoint.ts'
import type { NodeSelector } from '../../connect/running-nodes.ts'
import { parseLabels } from '../../input/option-values.ts'
import { readJsonInput } from '../../input/stdin.ts'
import { print } from '../../output/print.ts'

export interface SendCommandOptions extends Omit<NodeSelector, 'url'> {
  to?: string[]
  capability?: string
  guarantee?: 'AT_MOST_ONCE' | 'AT_LEAST_ONCE' | 'EXACTLY_ONCE'
  /** Another agent of the capability may get it, also EXACTLY_ONCE. */
  rebind?: boolean
  conversation?: string
  header?: string[]
  schemaVersion?: string
  ttl?: number
  /** Milliseconds. */
  wait?: number
  /** Also where nobody receives this type now. */
  keep?: boolean
  json?: boolean
}

/** Answers wait for the node's own limit. */
const GRACE_MS = 10_000

export const send = async (type: string, text: string | undefined, options: SendCommandOptions): Promise<void> => {
  const { to, capability, guarantee, rebind, conversation, header, schemaVersion, ttl, wait, keep } = options
  const body: z.input<typeof SendSchema> = {
    type,
    data: await readJsonInput(text),
    ...(to !== undefined && { to }),
    ...(capability !== undefined && { capability }),
    ...(guarantee !== undefined && { guarantee }),
    ...(rebind === true && { rebind: 'allowed' as const }),
    ...(conversation !== undefined && { conversationId: conversation }),
    ...(header !== undefined && { headers: parseLabels(header) }),
    ...(schemaVersion !== undefined && { version: schemaVersion }),
    ...(ttl !== undefined && { ttlMs: ttl }),
    ...(wait !== undefined && { waitMs: wait }),
    ...(keep !== undefined && { keep }),
  }
  const { node, control } = await findControlledNode(options)
  const timeoutMs = (wait ?? 30_000) + GRACE_MS
  const sent = await control.ask('POST', '/api/send', SentSchema, { body, timeoutMs })
  if (options.json === true) print(JSON.stringify(sent))
  else if (sent.delivered === true) print(`${sent.id} was processed`)
  else {
    const to = sent.destinations.length === 0 ? 'whoever offers it, once somebody does' : sent.destinations.join(', ')
    print(`${sent.id} is kept by ${node.name}, for ${to}`)
  }
  const without = sent.notReceiving ?? []
  if (without.length > 0 && options.json !== true)
    process.stderr.write(
      `note: ${without.map(escapeText).join(', ')} does not say that it receives ${type} now; parley outbox shows what waits\n`,
    )
  if (sent.delivered === false) {
    throw new ParleyError('COM001', `${sent.id} was not processed within ${wait} ms`, {
      hint: 'it is kept and goes on being tried; see `parley outbox`, and `parley dlq ls` if it is given up',
    })
  }
}
