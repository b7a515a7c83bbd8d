// The search of the theme runs in a web worker. Browsers refuse workers to pages from the file system: there it runs in
// a hidden frame. The worker's script tests if its parent has a class of this name.
if (location.protocol === "file:") {
  window.IFrameWorker = window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.loaded = new Promise((resolve) => this.frame.addEventListener("load", resolve, { once: true }))
        .then(() => new Promise((resolve) => {
          const { contentWindow, contentDocument } = this.frame;
          contentWindow.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
          const script = contentDocument.createElement("script");
          script.src = url;
          script.addEventListener("load", resolve);
          contentDocument.body.append(script);
        }));
      this.frame.srcdoc = "<!doctype html><body>";
      document.body.append(this.frame);
    }

    postMessage(data) {
      this.loaded.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })));
    }

    terminate() {
      this.frame.remove();
    }
  };
}
