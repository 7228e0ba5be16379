/**
 * The dead letters of a node that does not run, read from its data directory, which is locked meanwhile. Nothing is changed:
 * they are only read (store/messages/message-repair.ts). What changes something needs the node.
 */
import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { DeadLetterStore } from '../../../../protocols/delivery/dead-letters/dead-letter-store.ts'
import { DeliveryOptionsSchema } from '../../../../protocols/delivery/options.ts'
import { DEAD_LETTERS } from '../../../../protocols/delivery/store/delivery-rows.ts'
import { createVolatileRowStore } from '../../../../protocols/delivery/store/volatile-row-store.ts'
import { ParleyError } from '../../../../protocols/errors.ts'
import { createQuota } from '../../../../protocols/limits/quota.ts'
import { createDeadLetterView } from '../../../observe/debug/sources/message-view.ts'
import { clock } from '../../../platform/platform.ts'
import { lockDataDirectory } from '../../../store/data-directory.ts'
import { MESSAGES_FOLDER } from '../../../store/known-stores.ts'
import { surveyMessages } from '../../../store/messages/message-repair.ts'
import { DATA_ROOT, type NodeSelector } from '../../connect/running-nodes.ts'

export const openStoppedDeadLetters = async ({ dataDir, node }: NodeSelector, none: ParleyError) => {
  const place = dataDir ?? (node === undefined || /[/\\]/.test(node) ? undefined : join(DATA_ROOT, node))
  const folder = place === undefined ? undefined : join(resolve(place), MESSAGES_FOLDER)
  const isThere = folder !== undefined && (await stat(folder).catch(() => undefined))?.isDirectory() === true
  if (place === undefined || folder === undefined || !isThere) {
    const hint =
      'start the node with parley up; or name a stopped one by --data-dir or --node, to look at its dead letters'
    throw new ParleyError('COM002', none.message, { hint, cause: none })
  }
  const lock = await lockDataDirectory(resolve(place))
  const store = createVolatileRowStore('')
  try {
    const { problem } = await surveyMessages(folder, (key, value) => {
      if (key.startsWith(DEAD_LETTERS)) store.later([{ key, value: new Uint8Array(value) }])
    })
    if (problem !== undefined) throw problem
  } finally {
    await lock.release()
  }
  const quiet = { error() {}, warn() {}, info() {} }
  const letters = await DeadLetterStore.open({
    port: { clock, log: quiet, random: (bytes) => new Uint8Array(bytes) },
    store,
    settings: DeliveryOptionsSchema.parse({}),
    quota: createQuota(),
    dropped() {},
    resend: () => Promise.reject(none),
  })
  const view = createDeadLetterView(letters, () => '')
  const deadLetters = async (query: Parameters<typeof view.deadLetters>[0]) => (await view.deadLetters(query)).letters
  return { ...view, deadLetters, messages: letters.size(), bytes: letters.bytes() }
}
