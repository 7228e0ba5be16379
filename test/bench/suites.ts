/** The suites that exist. A new one is a file under suites/, its roles in roles.ts, and one line here. */
import type { Suite } from './suite.ts'
import { events } from './suites/events.ts'
import { rpc } from './suites/rpc.ts'

export const suites: ReadonlyMap<string, Suite> = new Map([rpc, events].map((suite) => [suite.name, suite]))
