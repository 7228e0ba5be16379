/** A process that commits to a row store until it is killed, and writes the number of each one that was answered. */
import { writeSync } from 'node:fs'
import { openRowStore } from '../../../../../node/store/messages/row-store.ts'
import { checkRows, createLoad } from './row-load.ts'
import { deps } from './row-stores.ts'

const [folder = '', inFlight = '1'] = process.argv.slice(2)
const store = await openRowStore(folder, deps())
const from = await checkRows(store)
await createLoad(from, (answered) => void writeSync(1, `${answered}\n`)).run(store, Number(inFlight))
