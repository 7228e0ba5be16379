/** How a process of a crash run tells that its node started, or why it would not. */
import { flushCompileCache } from 'node:module'
import type { Mesh } from '../../node/index.ts'
import { isParleyError } from '../../protocols/errors.ts'
import type { Started } from './messages.ts'

/**
 * @param start Starts the node, and whatever works beside it.
 * @throws What is no refusal of the node: a mistake of the run itself.
 */
export const startedOrRefused = async (start: () => Promise<Mesh>): Promise<Started> => {
  try {
    const mesh = await start()
    // Here, since most of these processes are killed.
    setImmediate(flushCompileCache)
    return { id: mesh.self.id }
  } catch (error) {
    if (!isParleyError(error)) throw error
    const { code, message, hint = '', details } = error
    return { refusal: { code, message, hint, reason: String(details.reason) } }
  }
}
