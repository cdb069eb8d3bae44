package inventory_test

import (
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/e2e/internal/debian"
)

// The colours of the page, in light: the ground, and the boxes of what amounts to the whole cluster.
var (
	ground   = color.RGBA{0xff, 0xff, 0xff, 0xff}
	alarmBox = color.RGBA{0xfd, 0xec, 0xeb, 0xff}
)

// TestPage has a browser without a network draw the page, and looks at what it drew: text and boxes all over, the picture
// with its alarming boxes, and nothing that runs out of the window.
func TestPage(t *testing.T) {
	chromium, err := debian.Program(t.Context(), os.Stderr, "chromium", []string{"chromium", "fonts-dejavu-core"}, []string{"/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"})
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	page, picture := filepath.Join(folder, "inventory.html"), filepath.Join(folder, "inventory.png")
	result := runCommand(t, shared.plane.AdminKubeconfig, 0, append([]string{"inventory", "--output", "html"}, evidence(t)...)...)
	if err := os.WriteFile(page, []byte(result.Stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	const width, height = 1280, 1400
	browser := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-color-profile=srgb",
		"--host-resolver-rules=MAP * ~NOTFOUND", "--user-data-dir="+filepath.Join(folder, "profile"), "--window-size=1280,1400", "--screenshot="+picture, "file://"+page)
	browser.Env = append(os.Environ(), "HOME="+folder)
	if out, err := browser.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if keep := os.Getenv("OSTIARY_E2E_KEEP_PAGE"); keep != "" {
		data, err := os.ReadFile(picture)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(keep, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.Open(picture)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	drawn, err := png.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := drawn.Bounds().Size(); got != image.Pt(width, height) {
		t.Fatalf("the picture is %v", got)
	}
	count := func(area image.Rectangle, fits func(color.RGBA) bool) int {
		n := 0
		for y := area.Min.Y; y < area.Max.Y; y++ {
			for x := area.Min.X; x < area.Max.X; x++ {
				if fits(color.RGBAModel.Convert(drawn.At(x, y)).(color.RGBA)) {
					n++
				}
			}
		}
		return n
	}
	all := image.Rect(0, 0, width, height)
	if ink := count(all, func(c color.RGBA) bool { return c != ground }); ink < width*height/20 {
		t.Errorf("%d of %d pixels are drawn: the page is empty", ink, width*height)
	}
	// The boxes of power stand at the right of the picture.
	if red := count(image.Rect(width/2, 0, width, height), func(c color.RGBA) bool { return c == alarmBox }); red < 3000 {
		t.Errorf("%d pixels are those of an alarming box: the picture is not there", red)
	}
	if out := count(image.Rect(0, 0, 20, height), func(c color.RGBA) bool { return c != ground }) + count(image.Rect(width-20, 0, width, height), func(c color.RGBA) bool { return c != ground }); out > 0 {
		t.Errorf("%d pixels are drawn in the margins", out)
	}
	for _, label := range []string{"Client certificates", "Static tokens", "ServiceAccount Secrets", "Requested tokens", "Bootstrap tokens", "OpenID Connect", "Webhook", "Authenticating proxies"} {
		if !strings.Contains(result.Stdout, ">"+label+"<") {
			t.Errorf("the picture has no box %q", label)
		}
	}
}
