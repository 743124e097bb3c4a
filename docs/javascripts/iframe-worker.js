// Search from disk: a browser starts no worker from a file, so one runs in a hidden frame of the page instead.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      document.body.appendChild(this.frame)
      const inside = this.frame.contentWindow
      addEventListener("message", event => {
        if (event.source !== inside) return
        const told = new MessageEvent("message", { data: event.data })
        this.dispatchEvent(told)
        this.onmessage?.(told)
      })
      const script = new URL(url, document.baseURI).href
      inside.document.open()
      inside.document.write(`<script>
        postMessage = message => parent.postMessage(message, "*")
        importScripts = (...urls) => urls.reduce((loaded, url) => loaded.then(() => new Promise(resolve => {
          const script = document.createElement("script")
          script.src = url
          script.onload = resolve
          document.body.appendChild(script)
        })), Promise.resolve())
      <\/script><script src="${script}"><\/script>`)
      inside.document.close()
    }

    postMessage(message) {
      this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data: message }))
    }

    terminate() {
      this.frame.remove()
    }
  }
}
