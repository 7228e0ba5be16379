// Prints, as JSON, the files that `import 'parley-mesh'` loads, and those that a plain node loads on top.
import { registerHooks } from 'node:module'

const loaded = new Set()
registerHooks({
  load(url, context, next) {
    loaded.add(url)
    return next(url, context)
  },
})
const { createMesh } = await import('parley-mesh')
const byImport = [...loaded]
const mesh = await createMesh({ log: 'silent' })
await mesh.stop()
process.stdout.write(JSON.stringify({ byImport, byNode: [...loaded].filter((url) => !byImport.includes(url)) }))
